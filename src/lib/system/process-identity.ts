import {readFileSync, readlinkSync} from 'node:fs'
import {hostname} from 'node:os'

/** Enough to tell later whether the same process still runs, though its number may have been given out again. */
export interface ProcessIdentity {
  pid: number
  host: string
  /** When it started, in the kernel's ticks; absent where there is no /proc. */
  ticks?: string | undefined
  /** Of the kernel's run since it was started. Containers of one machine share it. */
  boot?: string | undefined
  /** In which process numbers are counted: each container has its own, though the host name may be the same. */
  pidNamespace?: string | undefined
}

export function ownIdentity(): ProcessIdentity {
  const ticks = startTicks(process.pid)
  const boot = readable(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  const pidNamespace = readable(() => readlinkSync('/proc/self/ns/pid'))
  return {pid: process.pid, host: hostname(), ...(ticks !== undefined && {ticks}), ...(boot !== undefined && {boot}), ...(pidNamespace !== undefined && {pidNamespace})}
}

/** Whether that process still runs on this machine. Of another machine's process nothing is known: false. */
export function stillRuns({pid, host, ticks}: ProcessIdentity): boolean {
  return host === hostname() && runsHere(pid, ticks)
}

/**
 * Whether it is proven that the process has ended: it was counted where we are, and is there no more. False means only that
 * it is not known; another container's processes are never known.
 */
export function surelyEnded({pid, ticks, boot, pidNamespace}: ProcessIdentity): boolean {
  const own = ownIdentity()
  const here = boot !== undefined && boot === own.boot && pidNamespace !== undefined && pidNamespace === own.pidNamespace
  return here && !runsHere(pid, ticks)
}

function runsHere(pid: number, ticks: string | undefined): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return ticks === undefined || startTicks(pid) === ticks
}

function readable(read: () => string): string | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
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
