import {basename} from 'node:path'
import {DrError} from '../../errors.ts'
import {evidenceName, serializeEvidence, type Evidence} from '../../repository/evidence.ts'
import type {Procedure, Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {verifyBackup} from './backup.ts'
import {checkByHand, findByHand} from './by-hand.ts'
import {verifyForeign} from './foreign.ts'
import {Meter} from './meter.ts'
import type {Verified, VerifyOptions, VerifyState} from './options.ts'
import {findPlaces, type Found} from './places.ts'

/** Reads backups where they lie, compares them with their manifests, and notes beside each what was found. */
export function verifyProcedure(options: VerifyOptions): Procedure<VerifyState> {
  const found: Found[] = []
  return {id: 'verify', title: `Verify ${options.what} (${options.level})`, once: 'it changes nothing; dr verify begins anew', phases: [{title: 'Verify', steps: [findStep(options, found), checkStep(options, found)]}]}
}

export const verifyState = ({what, level, environment}: VerifyOptions): VerifyState => ({what, level, environment, verified: [], unreachable: []})

function findStep(options: VerifyOptions, found: Found[]): Step<VerifyState> {
  return {
    id: 'verify.find',
    title: 'Find the backup',
    effect: 'read',
    byHand: () => findByHand(options),
    async run(state, io) {
      state.unreachable = []
      found.splice(0, Infinity, ...(await findPlaces(options, state, io.signal)))
      for (const {location, message} of state.unreachable) io.notice(`Not asked: ${location}: ${message}`)
      state.verified = found.map((one) => unverified(one, options))
    },
  }
}

function unverified(found: Found, {level}: VerifyOptions): Verified {
  const {place, kind} = found
  const key = found.kind === 'backup' ? found.place.folder.slice(0, -1) : found.place.key
  return {
    kind, label: found.kind === 'backup' ? found.place.label : basename(found.place.key), storage: place.storage.kind, location: `${place.storage.location}/${key}`,
    level, ok: null, extent: level, findings: [], members: 0, bytes: 0, timings: [], evidence: null,
  }
}

function checkStep(options: VerifyOptions, found: readonly Found[]): Step<VerifyState> {
  return {
    id: 'verify.check',
    title: options.level === 'full' ? 'Read and compare every byte' : 'Compare members and table of contents',
    // Evidence is written, but nothing of the backup is changed.
    effect: 'read',
    byHand: () => checkByHand(options),
    async run(state, io) {
      const meter = new Meter(io)
      const failures: DrError[] = []
      for (const [index, one] of found.entries()) {
        const result = state.verified[index]
        if (result === undefined) throw new Error('There is a result for each place.')
        if (found.length > 1) meter.note = `${index + 1} of ${found.length}: ${result.label} (${result.storage})`
        try {
          await check(one, result, options, meter, io)
        } catch (error) {
          failures.push(brokenOff(error, result, state, io))
        }
      }
      state.verified = state.verified.filter(({ok}) => ok !== null)
      if (state.verified.length === 0 && failures[0] !== undefined) throw failures[0]
    },
  }
}

async function check(one: Found, result: Verified, options: VerifyOptions, meter: Meter, io: StepIo): Promise<void> {
  const {signal} = io
  await stopwatch(result.timings).time('all', () => (one.kind === 'backup' ? verifyBackup(one.place, result, options, meter, signal) : verifyForeign(one.place, result, {options, meter, signal})))
  result.ok = !result.findings.some(({severity}) => severity === 'error')
  if (one.kind === 'backup') await writeEvidence(one, result, options, io)
}

/** A store that breaks off says nothing about the backup, and the other places can be looked at all the same. */
function brokenOff(error: unknown, {location}: Verified, state: VerifyState, io: StepIo): DrError {
  io.signal.throwIfAborted()
  if (!(error instanceof DrError)) throw error
  state.unreachable.push({location, code: error.code, message: error.message, hints: error.hints})
  io.notice(`Not verified: ${location}: ${error.message}`)
  return error
}

/** A place that cannot be written to is verified all the same. */
async function writeEvidence({place: {storage, folder}}: Extract<Found, {kind: 'backup'}>, result: Verified, {by}: VerifyOptions, io: StepIo): Promise<void> {
  const {level, ok, findings, members, bytes, timings} = result
  if (findings.some(({code, message}) => code === 'verify.manifest' && message.startsWith('is missing'))) return
  const evidence: Evidence = {kind: 'verified', at: new Date().toISOString(), level, ok: ok === true, by, details: {findings, members, bytes, timings}}
  try {
    const name = evidenceName(evidence)
    await storage.put(`${folder}${name}`, serializeEvidence(evidence), {signal: io.signal})
    result.evidence = name
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    io.notice(`The result could not be noted at ${result.location}: ${error.message}`)
  }
}
