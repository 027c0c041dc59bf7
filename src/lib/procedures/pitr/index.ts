import {assertName} from '../../rds/restore-plan.ts'
import {utcSecond} from '../../report/instant.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import {askGate, askStep} from './ask.ts'
import {lookStep} from './look.ts'
import {proveStep} from './prove.ts'
import {settingsStep, waitStep} from './ready.ts'
import {sourceName, type RecoveryOptions, type RecoveryState} from './recover-options.ts'

/** Has AWS restore an instance as it was at an instant into a new one, watches it, sets what a restore cannot, and proves what came of it. */
export function recoveryProcedure(options: RecoveryOptions): Procedure<RecoveryState> {
  const {wish: {source, to}} = options
  return {
    id: 'pitr',
    title: `Recover ${sourceName(source)} as it was ${to === null ? 'at the latest restorable time' : `at ${utcSecond(new Date(to))}`} into a new instance`,
    target: targetOf(options),
    later: 'go-on',
    leaves,
    phases: [
      {title: 'Look', again: true, steps: [lookStep(options)]},
      {title: 'Ask AWS', gate: askGate(options), steps: [askStep(options)]},
      {title: 'Wait', steps: [waitStep(options), settingsStep(options)]},
      {title: 'Prove', steps: [proveStep(options)]},
    ],
  }
}

function leaves({copy, ended, live, plan, target = ''}: RecoveryState): string[] {
  if (copy === undefined || live) return []
  const remove = cleanupCommand(target, plan?.request.DeletionProtection === true)
  if (ended) return [`${target} stays at AWS as it is. To remove it: ${remove}`]
  return [`${target} stays at AWS, and AWS goes on with it: dr pitr resume ${target} waits on and proves it, also from another machine.`, `When it is not needed: ${remove}`]
}

/** By name: without it only side copies go. */
const cleanupCommand = (instance: string, isProtected: boolean): string => `dr pitr cleanup ${instance}${isProtected ? ' --unprotect' : ''}`

/** A later process must not go on with it in another region. */
const targetOf = ({config: {rds: {region, endpoint}}, wish: {source}}: RecoveryOptions): string => `rds:${endpoint ?? region ?? ''}/${sourceName(source)}`

/** The first state: what is known without asking AWS. Throws `pitr.target` (exit 2) for a name that AWS would refuse. */
export function recoveryState({config, wish, now}: Pick<RecoveryOptions, 'config' | 'wish' | 'now'>): RecoveryState {
  const {source, to, target, choice} = wish
  // The policies of docs/iam allow only names that begin as that of the instance.
  const base = 'instance' in source ? source.instance : config.rds.instance ?? sourceName(source)
  const name = target ?? targetName(base, to === null ? now() : new Date(to))
  assertName(name)
  return {environment: config.environment, wish, source: sourceName(source), purpose: choice.purpose, to, target: name.toLowerCase(), rtoSeconds: config.objectives.rtoSeconds, marks: {}, findings: []}
}

const LONGEST = 63

/** `crm-prod-pitr-20261122090000`; a name that would be too long is cut before the instant. */
export function targetName(source: string, at: Date): string {
  const tail = `-pitr-${at.toISOString().replaceAll(/\D/g, '').slice(0, 14)}`
  const base = source.split(':').at(-1) ?? ''
  return `${base.slice(0, LONGEST - tail.length).replace(/-+$/, '')}${tail}`.toLowerCase()
}
