import type {Renderer} from '../runbook/stage.ts'

/** Nothing with --json; a live list on a terminal; plain lines into a file, a pipe, a dumb terminal or a CI log. */
export async function rendererFor({json}: {json: boolean}): Promise<Renderer> {
  if (json) return (await import('./silent.ts')).silent
  if (process.stderr.isTTY && process.env.TERM !== 'dumb' && !process.env.CI) return (await import('./task-list.ts')).taskList
  const {lineList} = await import('./line-list.ts')
  return lineList({write: (line) => { process.stderr.write(`${line}\n`) }, elapsed: () => performance.now()})
}
