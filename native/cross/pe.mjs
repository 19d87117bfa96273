// Reads what a Windows DLL exports and imports.

/** The names that a DLL exports. */
export function exportsOf(bytes) {
  const pe = read(bytes);
  const table = pe.at(pe.directory(0));
  const [count, names] = [bytes.readUInt32LE(table + 24), pe.at(bytes.readUInt32LE(table + 32))];
  return Array.from({ length: count }, (_, index) => pe.text(bytes.readUInt32LE(names + 4 * index)));
}

/** The names that a DLL imports, by the DLL that it imports them from. */
export function importsOf(bytes) {
  const pe = read(bytes);
  const imports = {};
  for (let entry = pe.at(pe.directory(1)); bytes.readUInt32LE(entry + 12) !== 0; entry += 20) {
    const names = [];
    for (let thunk = pe.at(bytes.readUInt32LE(entry)); bytes.readBigUInt64LE(thunk) !== 0n; thunk += 8) {
      names.push(pe.text(Number(bytes.readBigUInt64LE(thunk)) + 2));
    }
    imports[pe.text(bytes.readUInt32LE(entry + 12))] = names;
  }
  return imports;
}

/** Ways around a 64-bit PE file: `directory(n)` is an address, `at` its place in the file, `text` the text there. */
function read(bytes) {
  const header = bytes.readUInt32LE(0x3c);
  if (bytes.toString("latin1", header, header + 4) !== "PE\0\0" || bytes.readUInt16LE(header + 24) !== 0x20b) {
    throw new Error("not a 64-bit PE file");
  }
  const sections = header + 24 + bytes.readUInt16LE(header + 20);
  const at = (address) => {
    for (let section = sections; section < sections + 40 * bytes.readUInt16LE(header + 6); section += 40) {
      const offset = address - bytes.readUInt32LE(section + 12);
      if (offset >= 0 && offset < bytes.readUInt32LE(section + 16)) return bytes.readUInt32LE(section + 20) + offset;
    }
    throw new Error(`no section of the PE file has address ${address}`);
  };
  const text = (address) => bytes.toString("latin1", at(address), bytes.indexOf(0, at(address)));
  return { at, text, directory: (index) => bytes.readUInt32LE(header + 24 + 112 + 8 * index) };
}
