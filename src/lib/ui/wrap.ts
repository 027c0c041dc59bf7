import {textWidth} from './text.ts'

/** A sentence in lines of at most `width` columns, broken between words; the lines after the first are indented. Undefined breaks nothing. */
export function* wrapped(text: string, width: number | undefined, indent = '  '): Generator<string> {
  if (width === undefined || textWidth(text) <= width) {
    yield text
    return
  }
  let line = ''
  for (const word of text.split(/(?<=\S) (?=\S)/)) {
    if (line.trim() !== '' && textWidth(`${line} ${word}`) > width) {
      yield line
      line = `${indent}${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  yield line
}
