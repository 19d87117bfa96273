/**
 * Yields the values of all sources as they come. The next value of a source is requested before one is yielded, so that generations of
 * one request are wanted together and share their decodes. The first failure ends all.
 */
export function merged<T>(sources: ReadonlyArray<AsyncGenerator<T, void>>): AsyncGenerator<T, void> {
  return sources.length === 1 ? sources[0]! : mergedSeveral(sources);
}

async function* mergedSeveral<T>(sources: ReadonlyArray<AsyncGenerator<T, void>>): AsyncGenerator<T, void> {
  const ready: Array<{ source: AsyncGenerator<T, void>; result: IteratorResult<T, void> }> = [];
  let failure: { error: unknown } | undefined;
  let wake = (): void => undefined;
  const ask = (source: AsyncGenerator<T, void>): void => {
    const take = (result: IteratorResult<T, void>): void => { ready.push({ source, result }); };
    source.next().then(take, (error: unknown) => { failure ??= { error }; }).finally(() => wake());
  };
  for (const source of sources) ask(source);
  let nOpen = sources.length;
  try {
    while (nOpen > 0) {
      while (ready.length === 0 && !failure) await new Promise<void>((resolve) => { wake = resolve; });
      if (failure) throw failure.error;
      const { source, result } = ready.shift()!;
      if (result.done) {
        nOpen--;
        continue;
      }
      ask(source);
      yield result.value;
    }
  } finally {
    await Promise.allSettled(sources.map((source) => source.return()));
  }
}
