import {readFileSync} from 'node:fs'
import {hostname} from 'node:os'

/** Enough to tell later whether the same process still runs, though its number may have been given out again. */
export interface ProcessIdentity {
  pid: number
  host: string
  /** When it started, in the kernel's ticks; absent where there is no /proc. */
  ticks?: string
}

export function ownIdentity(): ProcessIdentity {
  const ticks = startTicks(process.pid)
  return {pid: process.pid, host: hostname(), ...(ticks !== undefined && {ticks})}
}

/** Whether that process still runs on this machine. Of another machine's process nothing is known: false. */
export function stillRuns({pid, host, ticks}: ProcessIdentity): boolean {
  if (host !== hostname()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return ticks === undefined || startTicks(pid) === ticks
}

/**
 * Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so count from its closing bracket. A zombie has ended:
 * in a container it may stay for ever, because nobody asks for it.
 */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
