import {stripVTControlCharacters} from 'node:util'

const segments = new Intl.Segmenter()
const wide = /^(?:\p{Emoji_Presentation}|[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Script=Han})/u

/** Columns that a text takes on a terminal. */
export function textWidth(text: string): number {
  if (/^[\u0020-\u007E]*$/.test(text)) return text.length
  let width = 0
  for (const {segment} of segments.segment(stripVTControlCharacters(text))) width += wide.test(segment) ? 2 : 1
  return width
}

/** The text in at most so many columns, with an ellipsis where something was cut off. */
export function truncate(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text
  if (columns < 1) return ''
  let kept = ''
  let width = 0
  for (const {segment} of segments.segment(text)) {
    width += textWidth(segment)
    if (width > columns - 1) break
    kept += segment
  }
  return `${kept}…`
}

export function pad(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const gap = ' '.repeat(Math.max(0, columns - textWidth(text)))
  return align === 'left' ? text + gap : gap + text
}

/** One line without control characters: a name in a database may hold anything, terminal commands too. */
export const oneLine = (text: string): string => stripVTControlCharacters(text).replaceAll(/\s+/g, ' ').replaceAll(/[\u0000-\u001F\u007F-\u009F]/g, '?')

/** The text as it stands, columns and all, without control characters. */
export const printable = (text: string): string => stripVTControlCharacters(text).replaceAll(/[\u0000-\u001F\u007F-\u009F]/g, '?')

/** Columns of a stream; 80 where it has none. */
export const columnsOf = (stream: {columns?: number}): number => (stream.columns !== undefined && stream.columns > 0 ? stream.columns : 80)
