import {oneLine, pad, textWidth, truncate} from './text.ts'

export interface Column<Row> {
  header: string
  value: (row: Row) => string
  align?: 'left' | 'right'
  /**
   * What a narrow terminal may do to it. 0 (the default): nothing. The highest number yields first: a column with `min`
   * is cut down to that width, then dropped.
   */
  priority?: number
  min?: number
  /** Colours; gets the padded text, so that widths stay right. */
  style?: (text: string, row: Row) => string
}

export interface TableOptions {
  /** Columns of the terminal; undefined (a pipe, a file) means that nothing is cut. */
  width: number | undefined
  headerStyle?: (text: string) => string
}

const GAP = 2

/** A table as lines; nothing wraps. Without rows there is nothing. */
export function* tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: TableOptions): Generator<string> {
  if (rows.length === 0) return
  const cells = rows.map((row) => columns.map((column) => oneLine(column.value(row))))
  const natural = columns.map((column, index) => Math.max(textWidth(column.header), ...cells.map((line) => textWidth(line[index] ?? ''))))
  const widths = fit(columns, natural, options.width)
  const shown = columns.map((column, index) => ({column, index, width: widths[index] ?? 0})).filter(({width}) => width > 0)
  const {headerStyle = (text: string) => text} = options
  yield shown.map(({column, width}) => headerStyle(pad(truncate(column.header, width), width, column.align))).join(' '.repeat(GAP)).trimEnd()
  for (const [line, row] of rows.entries()) {
    const texts = shown.map(({column, index, width}, place) => {
      const text = truncate(cells[line]?.[index] ?? '', width)
      const padded = place === shown.length - 1 && column.align !== 'right' ? text : pad(text, width, column.align)
      return column.style ? column.style(padded, row) : padded
    })
    yield texts.join(' '.repeat(GAP)).trimEnd()
  }
}

/** A width for each column, 0 for one that is dropped. */
function fit<Row>(columns: readonly Column<Row>[], natural: readonly number[], limit: number | undefined): number[] {
  const widths = [...natural]
  if (limit === undefined) return widths
  const total = () => widths.reduce((sum, width) => sum + (width > 0 ? width + GAP : 0), -GAP)
  const yielding = columns.map((column, index) => ({priority: column.priority ?? 0, min: column.min, index})).sort((a, b) => b.priority - a.priority || b.index - a.index)
  for (const {min, index} of yielding) if (min !== undefined) widths[index] = shrink(widths[index] ?? 0, min, total() - limit)
  for (const {priority, index} of yielding) if (priority > 0 && total() > limit) widths[index] = 0
  // What was dropped may have made room for what was cut.
  for (const {min, index} of yielding.toReversed()) {
    const width = widths[index] ?? 0
    if (min !== undefined && width > 0) widths[index] = Math.min(natural[index] ?? width, width + Math.max(0, limit - total()))
  }
  return widths
}

const shrink = (width: number, min: number, excess: number) => Math.max(Math.min(width, min), width - Math.max(0, excess))
