import {readdirSync, statSync} from 'node:fs'
import {join} from 'node:path'

/** Bytes of all files below; what vanishes meanwhile counts nothing. */
export function bytesBelow(folder: string): number {
  try {
    return readdirSync(folder, {recursive: true}).reduce((sum, name) => sum + fileBytes(join(folder, String(name))), 0)
  } catch {
    return 0
  }
}

function fileBytes(path: string): number {
  const found = statSync(path, {throwIfNoEntry: false})
  return found?.isFile() ? found.size : 0
}

/** The most that a folder holds while the work goes on, looked at ten times a second. */
export async function peakBytes<T>(folder: string, work: () => Promise<T>): Promise<{result: T; peak: number}> {
  let peak = 0
  const timer = setInterval(() => { peak = Math.max(peak, bytesBelow(folder)) }, 100)
  try {
    return {result: await work(), peak}
  } finally {
    clearInterval(timer)
  }
}
