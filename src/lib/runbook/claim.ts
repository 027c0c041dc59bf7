import {randomBytes} from 'node:crypto'
import {link, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import {ownIdentity, stillRuns, type ProcessIdentity} from '../system/process-identity.ts'
import {runOf} from './journal.ts'
import {runActive} from './resume.ts'

/**
 * Makes sure that only one process goes on with a run; resolves to what gives the claim back.
 * Claims are numbered files beside the journal, and none is ever replaced: of two processes that find the same last one, whose
 * process is gone, only one can make the next. Whoever has it reads the journal then, not before.
 */
export async function claimRun(path: string): Promise<() => Promise<void>> {
  const run = runOf(path)
  const folder = dirname(path)
  const name = (number: number) => join(folder, `${run}.claim-${number}`)
  const last = Math.max(0, ...(await readdir(folder)).flatMap((file) => numberOf(file, run)))
  const holder = last === 0 ? undefined : await readHolder(name(last))
  if (holder && stillRuns(holder)) throw runActive(run, holder)
  await make(name(last + 1), run)
  return async () => {
    for (let number = 1; number <= last + 1; number++) await rm(name(number), {force: true})
  }
}

/** It has its content from the first moment on. */
async function make(path: string, run: string): Promise<void> {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, JSON.stringify(ownIdentity()), {mode: 0o600})
  try {
    await link(draft, path)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? runActive(run, await readHolder(path)) : error
  } finally {
    await rm(draft, {force: true})
  }
}

function numberOf(file: string, run: string): number[] {
  const number = file.startsWith(`${run}.claim-`) ? Number(basename(file).slice(run.length + '.claim-'.length)) : NaN
  return Number.isInteger(number) ? [number] : []
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity
  } catch {
    return undefined
  }
}
