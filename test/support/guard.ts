import {spawn} from 'node:child_process'

/**
 * Runs a shell script, with `argument` as its `$1`, when this process ends in whatever way, SIGKILL included: a shell
 * waits for its end of a pipe. The function that comes back runs it at once.
 */
export function guard(script: string, argument: string): () => void {
  const child = spawn('/bin/sh', ['-c', `cat >/dev/null; ${script}`, 'test-guard', argument], {detached: true, stdio: ['pipe', 'ignore', 'ignore']})
  child.unref()
  const {stdin} = child as typeof child & {stdin: {unref?: () => void}}
  stdin.unref?.()
  return () => { child.stdin.end() }
}
