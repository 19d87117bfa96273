import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { allowedProcessors, availableProcessors, cpuQuota, processorTimes } from "../../lib/engine/processors.js";
import { ThreadCount, threadLimit } from "../../lib/engine/threads.js";

describe("CPU quotas", () => {
  let root = "";
  beforeEach(() => { root = mkdtempSync(join(tmpdir(), "quota-")); });
  afterEach(() => { rmSync(root, { recursive: true }); });

  const write = (files: Record<string, string>): void => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
  };
  const V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  const v1 = (mountRoot = "/"): string =>
    `32 31 0:29 ${mountRoot} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n`;

  test.each<[string, Record<string, string>, number]>([
    ["no control groups", {}, Infinity],
    ["no quota", { "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n" }, Infinity],
    [
      "a container's own group", { "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n" },
      1.5,
    ],
    ["the least of the groups above", {
      "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/a.slice/b.scope\n",
      "sys/fs/cgroup/a.slice/cpu.max": "50000 100000\n", "sys/fs/cgroup/a.slice/b.scope/cpu.max": "400000 100000\n",
    }, 0.5],
    ["version 1", {
      "proc/self/mountinfo": v1(), "proc/self/cgroup": "5:cpuset:/other\n4:cpu,cpuacct:/x\n",
      "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }, 2],
    ["version 1, where only a container's part is mounted", {
      "proc/self/mountinfo": v1("/docker/abc"), "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }, 3],
    ["a group outside of what is mounted", {
      "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/../neighbour\n", "sys/fs/cgroup/cpu.max": "100000 100000\n",
    }, 1],
    [
      "damaged files", { "proc/self/mountinfo": `nonsense\n${V2}`, "proc/self/cgroup": "what\n", "sys/fs/cgroup/cpu.max": "many\n" },
      Infinity,
    ],
  ])("%s", (_, files, expected) => {
    write(files);
    expect(cpuQuota(root)).toBe(expected);
    expect(availableProcessors(root)).toBe(Math.max(1, Math.floor(Math.min(expected, availableParallelism()))));
  });

  test.each([[50_000, 1], [150_000, 1], [199_999, 1]])("a quota of %d µs of 100,000 gives %d thread", (quota, threads) => {
    write({ "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": `${quota} 100000\n` });
    expect(threadLimit(root).threads).toBe(threads);
  });

  /** A machine with so many processors online, of which the affinity allows these. */
  const processors = (online: number, allowed = `0-${online - 1}`): Record<string, string> => ({
    "proc/stat": `cpu  1 2 3 4 5\n${Array.from({ length: online }, (_, i) => `cpu${i} 1 2 3 4 5\n`).join("")}intr 1\n`,
    "proc/self/status": `Name:\tnode\nCpus_allowed_list:\t${allowed}\n`,
  });
  const quota = (of100000: number): Record<string, string> =>
    ({ "proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": `${of100000} 100000\n` });

  test.each<[string, Record<string, string>, NodeJS.Architecture, number, string]>([
    ["one processor", processors(1), "x64", 1, "this process may use 1 processor"],
    ["four", processors(4), "x64", 4, "this process may use 4 processors"],
    ["many on x64", processors(16), "x64", 8, "this process may use 16 processors, and two usually share a core"],
    ["many elsewhere", processors(16), "arm64", 16, "this process may use 16 processors"],
    ["an affinity", processors(16, "0-1,8"), "x64", 3, "this process may use 3 processors"],
    ["an affinity beyond what is online", processors(4, "0-127"), "x64", 4, "this process may use 4 processors"],
    // A quota is of processors: it is not halved for those that share a core.
    ["a quota of many", { ...processors(64), ...quota(800_000) }, "x64", 8, "the control group's CPU quota is 8 processors of 64"],
    ["a quota above the cores", { ...processors(16), ...quota(1_000_000) }, "x64", 8,
      "this process may use 16 processors, and two usually share a core"],
    ["a part of one", { ...processors(2), ...quota(50_000) }, "x64", 1, "the control group's CPU quota is 0.5 processors of 2"],
    ["one and a third", { ...processors(2), ...quota(133_333) }, "arm64", 1, "the control group's CPU quota is 1.33 processors of 2"],
  ])("threads with %s", (_, files, arch, threads, reason) => {
    write(files);
    expect(threadLimit(root, arch)).toEqual({ threads, reason });
  });

  test("this machine's affinity allows as many processors as Node says, where there is no quota", () => {
    expect(allowedProcessors()).toBeGreaterThanOrEqual(availableParallelism());
    if (cpuQuota() === Infinity) expect(allowedProcessors()).toBe(availableParallelism());
  });
});

describe("threads by the load", () => {
  /** A machine of `cores`, of which others want `others`; we use what `used` says, in turn. */
  class Machine {
    private static machines = 0;
    now = 1e9 * ++Machine.machines; // those of the tests before, also by the real clock, do not compute any more
    idle = 1e6;
    own = 0;
    run(ms: number, own: number, idle: number): void {
      this.now += ms;
      this.own += ms * own;
      this.idle += ms * idle;
    }
    count(most: number, isFixed = false): ThreadCount {
      return new ThreadCount(most, isFixed, () => ({ at: this.now, idle: this.idle, own: this.own }), () => this.now);
    }
  }

  test("settled has measured, although timers end up to a millisecond early", async () => {
    const slow = () => performance.now() * 0.99; // to this clock, every timer ends early
    let reads = 0;
    const times = () => ({ at: slow(), idle: 0, own: 10 * reads++ }); // others use both processors
    expect(await new ThreadCount(2, false, times, slow).settled()).toBe(1);
  });

  test.each<[string, number, number, number, number]>([
    ["alone", 2, 2, 0, 2],
    ["alone, and hardly used", 2, 0.1, 1.9, 2],
    ["something else on one of two, shared alike", 2, 1.5, 0, 1],
    ["three threads on two processors", 2, 4 / 3, 0, 1],
    ["both of ours on one", 2, 1, 0, 1],
    ["a little of something else", 2, 1.8, 0, 2],
    ["something else on one of eight", 8, 7.5, 0, 7],
    ["half of the processors idle", 8, 8, 8, 8],
    ["nothing left", 8, 0.2, 0, 1],
  ])("%s", (_, most, own, idle, expected) => {
    const machine = new Machine();
    const threads = machine.count(most);
    expect(threads.now()).toBe(most);
    machine.run(250, own, idle);
    expect(threads.now()).toBe(expected);
  });

  test("they come back when the others are gone", () => {
    const machine = new Machine();
    const threads = machine.count(2);
    machine.run(250, 1.5, 0);
    expect(threads.now()).toBe(1);
    machine.run(250, 1, 0); // one thread, and the other program on the other processor
    expect(threads.now()).toBe(1);
    machine.run(250, 1, 1);
    expect(threads.now()).toBe(2);
  });

  test("a number that was given stays, and what is held stays until it is let go", () => {
    const machine = new Machine();
    const [given, free] = [machine.count(2, true), machine.count(2)];
    {
      using held = free.hold();
      expect(held.threads).toBe(2);
      machine.run(250, 1, 0);
      expect([given.now(), free.now(), given.best(), free.best()]).toEqual([2, 2, 1, 1]);
      expect(given.hold(1).threads).toBe(2);
      expect([given.now(true), free.now(true)]).toEqual([2, 1]); // for work that does not depend on it
    }
    expect(free.now()).toBe(1);
  });

  test("a number from elsewhere is held as far as the machine has processors: more threads would wait for each other", () => {
    const free = new Machine().count(2);
    using one = free.hold(1); // as a run was begun elsewhere
    expect([one.threads, free.now()]).toEqual([1, 1]);
    const most = Math.max(2, Math.floor(availableProcessors()));
    using many = free.hold(512);
    expect([many.threads, free.now()]).toEqual([most, most]);
  });

  test("of several numbers that are held the last counts, in whatever order they end", () => {
    const free = new Machine().count(4);
    const [first, second] = [free.hold(1), free.hold(2)];
    expect(free.now()).toBe(2);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(free.now()).toBe(2);
    second[Symbol.dispose]();
    expect(free.now()).toBe(4);
    const [third, fourth] = [free.hold(3), free.hold(1)];
    fourth[Symbol.dispose]();
    expect(free.now()).toBe(3);
    third[Symbol.dispose]();
    expect(free.now()).toBe(4);
  });

  test("models that compute at the same time share what is free; one that has ended gives it back", () => {
    const machine = new Machine();
    const [a, b] = [machine.count(4), machine.count(4)];
    machine.run(300, 0, 4);
    expect([a.now(), b.now(), a.now()]).toEqual([4, 2, 2]);
    machine.run(300, 4, 0);
    expect(a.now()).toBe(4);
  });

  test("a number that is to be kept is measured first, for as long as it takes and no longer", async () => {
    const machine = new Machine();
    const threads = machine.count(2);
    const settled = threads.settled();
    machine.run(250, 0, 1); // something else on one of two
    expect(await settled).toBe(1);
    const begun = performance.now();
    expect(await threads.settled()).toBe(1);
    expect(await machine.count(2, true).settled()).toBe(2);
    expect(performance.now() - begun).toBeLessThan(100);
  });

  test("where the system tells nothing, nothing is changed", () => {
    let now = 1e15; // later than all machines of the tests before
    const threads = new ThreadCount(2, false, () => undefined, () => now);
    now += 1e6;
    expect(threads.now()).toBe(2);
  });

  test("this machine's times go forward, and no faster than its processors", async () => {
    const before = processorTimes()!;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const after = processorTimes()!;
    const ms = after.at - before.at;
    expect(after.own - before.own).toBeGreaterThanOrEqual(0);
    expect(after.idle - before.idle).toBeGreaterThanOrEqual(0);
    expect(after.idle - before.idle).toBeLessThanOrEqual(ms * availableParallelism() + 20 * availableParallelism()); // ticks of 10 ms
  });
});
