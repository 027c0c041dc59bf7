import type {ShownSetting} from '../config/present.ts'
import {tableLines} from './table.ts'
import {outTheme as theme} from './theme.ts'

/** The settings as a table; on a terminal it fits the width. */
export function* settingsLines(settings: readonly ShownSetting[], file: string | undefined): Generator<string> {
  yield file === undefined ? 'No dr.config.yaml was found.' : `File: ${file}`
  yield ''
  yield* tableLines(settings, [
    {header: 'SETTING', value: ({path}) => path},
    {header: 'VALUE', value: ({value}) => valueText(value), min: 12, priority: 1},
    {header: 'SOURCE', value: ({source, from}) => (from === undefined ? source : `${source} (${from})`), min: 8, priority: 2, style: (text) => theme.faint(text)},
  ], {width: process.stdout.isTTY ? process.stdout.columns : undefined, headerStyle: theme.title})
}

function valueText(value: unknown): string {
  if (value === null) return '-'
  if (Array.isArray(value)) return value.map(entryText).join(', ')
  if (typeof value === 'string') return value
  return JSON.stringify(value)
}

/** What has a name is shown by it. */
const entryText = (entry: unknown): string => (typeof entry === 'string' ? entry : typeof entry === 'object' && entry !== null && 'name' in entry ? String(entry.name) : JSON.stringify(entry))
