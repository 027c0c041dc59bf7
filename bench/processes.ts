import {readdirSync, readFileSync} from 'node:fs'

/** Processor time of one process, in milliseconds. */
export interface ProcessTimes {
  pid: number
  parent: number
  /** Its own. */
  ownMs: number
  /** Of its children that have ended, and of theirs. */
  childrenMs: number
}

/** Linux counts in hundredths of a second for user space on every architecture. */
const TICK_MS = 10

/** Reads a line of /proc/PID/stat. The program's name may hold blanks and brackets; what counts comes after the last bracket. */
export function parseStat(text: string): ProcessTimes {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // Field 3 of the manual is our 0.
  const number = (field: number): number => Number(fields[field - 3])
  return {pid: Number.parseInt(text, 10), parent: number(4), ownMs: (number(14) + number(15)) * TICK_MS, childrenMs: (number(16) + number(17)) * TICK_MS}
}

/** What a process has used; 0 when there is none. */
export const processMs = (pid: number): number => readTimes(String(pid))?.ownMs ?? 0

/** What a server has used so far: itself, its backends that have ended, and those that live. */
export function serverMs(postmaster: number): number {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(readTimes).filter((times) => times !== undefined)
  return all.filter(({pid, parent}) => pid === postmaster || parent === postmaster).reduce((sum, {ownMs, childrenMs}) => sum + ownMs + childrenMs, 0)
}

/** Undefined when it has ended meanwhile. */
function readTimes(pid: string): ProcessTimes | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/** `VmHWM` of /proc/PID/status: the most memory that was resident at once, in bytes. */
export function parsePeakRss(status: string): number {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
  if (kilobytes === undefined) throw new Error('This status names no peak.')
  return Number(kilobytes) * 1024
}
