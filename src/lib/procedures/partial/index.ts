import {assertWish} from '../../postgres/partial/selection.ts'
import {targetName} from '../../postgres/target.ts'
import type {Procedure} from '../../runbook/procedure.ts'
import {mirrorStep} from './beside.ts'
import {bringStep} from './bring.ts'
import {compareStep, decideStep, refuseStep} from './compare.ts'
import {dropStageStep} from './drop-stage.ts'
import {assertWay, mergeGate, undoGate, wayChoice} from './gates.ts'
import {targetStep} from './look.ts'
import {leftOut, mergeStep} from './merge.ts'
import {openSteps} from './open.ts'
import {featuresStep, probeStep, proveStep} from './prove.ts'
import {recreateAfterStep, recreateBeforeStep} from './recreate.ts'
import {lostTables, needed, sourceTitle, type PartialOptions, type PartialState} from './run-options.ts'
import type {PartialWork} from './run-work.ts'
import {catalogsStep, dropScratchStep, scratchStep, sweepStep} from './scratch.ts'
import {removeCopyStep, sideCopyPhase, sideCopyState} from './side-copy.ts'
import {alsoStaged, selectStep} from './select.ts'
import {stageStep} from './stage.ts'
import {stageState} from './work.ts'

/**
 * Brings tables, tenants or rows back into the live database: compares first, asks, and puts them back in one transaction that
 * can be taken back. Until then nothing of what is live is touched; the rows of the backup stand in a schema, or a database, of their own.
 */
export function partialProcedure(options: PartialOptions, work: PartialWork): Procedure<PartialState> {
  const {target, config, from} = options
  const copy = from.kind === 'database' ? from.copy : undefined
  const wanted = (state: PartialState) => ({selection: needed(state.selection, 'selection'), also: alsoStaged(options, work, state), liveKeys: state.wish.tenant !== undefined && (state.way ?? 'exact') === 'exact'})
  const lost = (state: PartialState) => (leftOut(state) === undefined ? lostTables(state) : [])
  return {
    id: 'partial',
    title: `Bring rows of ${sourceTitle(partialState(options))} back into ${target.database} (${config.environment})`,
    target: targetName(target),
    later: 'go-on',
    forJournal: withoutValues,
    undoGate,
    phases: [
      ...(copy ? [sideCopyPhase(options, copy)] : []),
      {title: 'Look', again: true, steps: [targetStep(options, work), ...openSteps<PartialState>(options, work)]},
      {title: 'Stage', steps: [sweepStep(options, work), scratchStep(options, work), catalogsStep(options, work), selectStep(options, work), stageStep(options, work, wanted)]},
      {title: 'Compare', steps: [...(work.isBeside ? [mirrorStep(options, work)] : []), compareStep(options, work)]},
      {title: 'Decide', choice: wayChoice(), steps: [decideStep(work), refuseStep(work)]},
      {title: 'Merge', gate: mergeGate(options), steps: [recreateBeforeStep(options, work, lost), ...(work.isBeside ? [bringStep(options, work)] : []), mergeStep(options, work), recreateAfterStep(options, work, lost)]},
      {title: 'Prove', steps: [proveStep(options, work), probeStep(options, work), featuresStep(options, work), dropStageStep(options, work, {keep: ({way, nothing}: PartialState) => way === 'side' && nothing === undefined, tell: ({notes}, note) => { notes.push(note) }}), dropScratchStep(options, work), ...(copy ? [removeCopyStep(copy)] : [])]},
    ],
  }
}

export function partialState(options: PartialOptions): PartialState {
  const {config, target, wish, way, from, runId, stage} = options
  assertWish(wish)
  assertWay(way, {wish})
  const {environment, source: {database}} = from.kind === 'backup' ? from.backup.manifest : {environment: config.environment, source: {database: target.database}}
  const foreign = environment === config.environment && database === target.database ? undefined : `${database} (${environment})`
  return {...stageState(options), ...(from.kind === 'database' && from.copy && {copy: sideCopyState(from.copy)}), environment: config.environment, runId, wish, ...(stage !== undefined && {stage}), ...(way !== undefined && {way}), ...(foreign !== undefined && {foreign}), lost: [], notes: [], findings: [], features: []}
}

/** Of the rows that were looked at the journal has numbers only: what stood in them is nobody's who reads it later. */
function withoutValues(state: PartialState): PartialState {
  const {comparison} = state
  if (comparison === undefined) return state
  const tables = comparison.tables.map((one) => ({...one, sample: [], conflicts: one.conflicts.map(({index}) => ({key: {}, index, holder: {}}))}))
  return {...state, comparison: {...comparison, tables}}
}
