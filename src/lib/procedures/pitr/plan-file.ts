import {readFile, writeFile} from 'node:fs/promises'
import {messageOf, preflightError, usageError} from '../../errors.ts'
import {sealed, sealOf} from '../../repository/seal.ts'
import type {RecoveryPlan, RecoveryWish} from './recover-options.ts'

const KIND = 'dr pitr plan'
const VERSION = 1

/** A plan for somebody else to look at, and to be carried out as it stands. */
export interface PlanFile {
  kind: typeof KIND
  version: typeof VERSION
  createdAt: string
  environment: string
  /** Of the API: the plan holds for this one. */
  region: string | null
  endpoint: string | null
  /** The run that the marks of the new instance name. */
  run: string
  wish: RecoveryWish
  plan: RecoveryPlan
  /** The same, to be typed. */
  commands: string[]
}

export const planFile = (content: Omit<PlanFile, 'kind' | 'version'>): PlanFile => ({kind: KIND, version: VERSION, ...content})

/** For this user only, with a seal over its content. What is there already is not overwritten: `pitr.plan-file` (exit 3). */
export async function writePlan(path: string, file: PlanFile): Promise<void> {
  try {
    await writeFile(path, sealed(`${JSON.stringify(file, null, 2)}\n`), {flag: 'wx', mode: 0o600})
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'is there already, and is not overwritten' : `cannot be written: ${messageOf(error)}`
    throw preflightError('pitr.plan-file', `${path} ${why}.`, {cause: error, hints: ['Name another file with --out.']})
  }
}

/** Throws `pitr.plan-file` (exit 3) for a file that cannot be read or is no plan, `pitr.plan-edited` for one that was changed. */
export async function readPlan(path: string): Promise<PlanFile> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw preflightError('pitr.plan-file', `${path} cannot be read: ${messageOf(error)}`, {cause: error, hints: ['dr pitr plan --out FILE writes one.']})
  })
  if (sealOf(text) === 'broken') throw preflightError('pitr.plan-edited', `${path} was changed after dr wrote it: its checksum is another.`, {hints: ['What was reviewed is what must run: make a new plan with dr pitr plan --out FILE.']})
  const found = parsed(text)
  if (sealOf(text) === 'none' || found?.kind !== KIND) throw usageError('pitr.plan-file', `${path} is no plan of dr.`, {hints: ['dr pitr plan --out FILE writes one.']})
  if (found.version !== VERSION) throw preflightError('pitr.plan-file', `${path} was written by another version of dr.`, {hints: ['Make a new plan with dr pitr plan --out FILE.']})
  return found as PlanFile
}

function parsed(text: string): Partial<PlanFile> | undefined {
  try {
    return JSON.parse(text) as Partial<PlanFile>
  } catch {
    return undefined
  }
}
