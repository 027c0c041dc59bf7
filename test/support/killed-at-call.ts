import promises from 'node:fs/promises'
import {syncBuiltinESMExports} from 'node:module'
import {join} from 'node:path'

/**
 * A process that begins a run, notes a folder and ends the run, and kills itself before the call of the given number that
 * changes something on the disk: `node killed-at-call.ts NUMBER MODULE FOLDER`.
 */
const [number, module = '', folder = ''] = process.argv.slice(2)
let call = 0
for (const name of ['mkdir', 'writeFile', 'rename', 'rm'] as const) {
  const original = promises[name] as (...args: unknown[]) => Promise<unknown>
  Object.assign(promises, {[name]: (...args: unknown[]) => {
    if (call++ === Number(number)) process.kill(process.pid, 'SIGKILL')
    return original(...args)
  }})
}
syncBuiltinESMExports()
const {createRun} = await import(module) as typeof import('../../src/lib/procedures/runs.ts')
const run = await createRun(folder)
const staged = join(folder, 'staged')
await run.owns(staged)
await run.remove()
