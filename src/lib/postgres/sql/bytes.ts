export const isSpace = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13)
export const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57
export const startsWord = (byte: number): boolean => (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte === 95 || byte >= 128
export const inWord = (byte: number): boolean => startsWord(byte) || isDigit(byte) || byte === 36

/** The first byte from here on that is something else. */
export function endOf(bytes: Buffer, from: number, is: (byte: number) => boolean): number {
  let at = from
  while (at < bytes.length && is(bytes[at] ?? 0)) at += 1
  return at
}
