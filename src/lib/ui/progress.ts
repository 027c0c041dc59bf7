import type {Progress, ProgressItem} from '../runbook/procedure.ts'
import {bytes, duration, number, percent} from './format.ts'
import {oneLine, pad, textWidth, truncate} from './text.ts'

const MAX_ITEMS = 4
const BAR_MAX = 24
const BAR_MIN = 8
const NAME_MAX = 28
/** The bar matters more than the figures above this rank. */
const BAR_RANK = 2

const unicode = process.platform === 'win32' || /utf-?8/i.test(process.env.LC_ALL ?? process.env.LC_CTYPE ?? process.env.LANG ?? '')
const glyphs = unicode ? {full: '█', empty: '░'} : {full: '#', empty: '.'}

/** A progress as lines of at most `width` columns: a bar with figures, and below it what is in flight. */
export function progressLines(progress: Progress | string, width: number): string[] {
  if (typeof progress === 'string') return progress.split('\n').map((line) => truncate(oneLine(line), width))
  const items = (progress.items ?? []).slice(0, MAX_ITEMS)
  const nameWidth = Math.min(NAME_MAX, Math.floor(width / 2), Math.max(0, ...items.map(({name}) => textWidth(oneLine(name)))))
  return [headLine(progress, width), ...items.map((item) => itemLine(item, progress.unit, nameWidth, width))]
}

/** The same in one line, for a log. */
export function progressText(progress: Progress | string): string {
  if (typeof progress === 'string') return oneLine(progress)
  return figures(progress).map(({text}) => text).join(', ')
}

interface Figure {
  text: string
  /** The highest goes first when the line is too narrow. */
  rank: number
}

function figures({unit, done, total, rate, secondsLeft, note}: Progress): Figure[] {
  return [
    ...(total === undefined ? [] : [{text: percent(done, total), rank: 0}]),
    {text: total === undefined ? amount(done, unit) : `${amount(done, unit)} of ${amount(total, unit)}`, rank: 2},
    ...(rate === undefined ? [] : [{text: `${amount(rate, unit)}/s`, rank: 4}]),
    ...(secondsLeft === undefined || !Number.isFinite(secondsLeft) ? [] : [{text: `${timeLeft(secondsLeft)} left`, rank: 1}]),
    ...(note === undefined ? [] : [{text: oneLine(note), rank: 3}]),
  ]
}

/** Whole seconds: tenths would only flicker. */
const timeLeft = (seconds: number) => (seconds < 60 ? `${Math.ceil(seconds)} s` : duration(seconds * 1000))

const amount = (value: number, unit: Progress['unit']) => (unit === 'bytes' ? bytes(value) : number(Math.round(value)))

function headLine(progress: Progress, width: number): string {
  const barRoom = progress.total === undefined ? 0 : BAR_MIN + 2
  let shown = figures(progress)
  const line = () => shown.map(({text}) => text).join('  ')
  while (shown.length > 1) {
    const last = Math.max(...shown.map(({rank}) => rank))
    if (textWidth(line()) + (last > BAR_RANK ? barRoom : 0) <= width) break
    shown = shown.filter(({rank}) => rank !== last)
  }
  const text = truncate(line(), width)
  const room = Math.min(BAR_MAX, width - textWidth(text) - 2)
  return progress.total === undefined || room < BAR_MIN ? text : `${bar(progress.done / progress.total, room)}  ${text}`
}

function itemLine({name, done, total}: ProgressItem, unit: Progress['unit'], nameWidth: number, width: number): string {
  const label = pad(truncate(oneLine(name), nameWidth), nameWidth)
  const rest = total === undefined ? amount(done, unit) : `${pad(percent(done, total), 5, 'right')}  ${amount(done, unit)} of ${amount(total, unit)}`
  return truncate(`${label}  ${rest}`, width)
}

function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, Number.isFinite(share) ? share : 1)) * width)
  return glyphs.full.repeat(full) + glyphs.empty.repeat(width - full)
}
