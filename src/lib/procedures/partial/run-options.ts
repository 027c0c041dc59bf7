import type {Finding} from '../../checks/finding.ts'
import type {Comparison, MergeResult, Selection, TableName} from '../../postgres/partial/contract.ts'
import {distinctTables, nameOf} from '../../postgres/partial/names.ts'
import type {SelectionWish} from '../../postgres/partial/selection.ts'
import type {Place} from '../../postgres/newer-rows.ts'
import type {Way} from '../../report/partial-lines.ts'
import type {SwapTarget} from '../../report/swap-lines.ts'
import type {RecoveryState} from '../pitr/recover-options.ts'
import type {FeatureOutcome} from './features.ts'
import type {StageOptions, StagePlace, StageState} from './options.ts'

/** What a partial restore needs from outside. */
export interface PartialOptions extends StageOptions {
  wish: SelectionWish
  /** From --merge; undefined: it is asked for. */
  way?: Way | undefined
  /** Rows to show of each table. */
  sample: number
}

/** Plain data: it stands in the journal and in --json. */
export interface PartialState extends StageState {
  /** Of a point-in-time copy that is made for this run. */
  copy?: RecoveryState
  environment: string
  /** Of the run's folder: by it what was staged is known. */
  runId: string
  /** Absent: `schema`. */
  stage?: StagePlace
  wish: SelectionWish
  way?: Way
  /** The operator has seen the comparison, and chosen. */
  asked?: boolean
  /** Why nothing is put back. */
  nothing?: string
  /** The operator chose it. */
  declined?: boolean
  /** The environment and database that the source is of, when that is another than the live one. */
  foreign?: string
  target?: SwapTarget
  /** Of the live database. */
  place?: Place
  /** How the live database reads a condition of the operator's. */
  meanings?: Record<string, string>
  selection?: Selection
  /** To be made anew. */
  lost: TableName[]
  notes: string[]
  comparison?: Comparison
  /** Of the rows that differ: edited after the backup, by the time of change that they bear; the accident itself may have set it. */
  editedSince?: number
  /** Why it is not known which rows were written after the backup. */
  sinceUnknown?: string | undefined
  /** The way that the comparison was made for. */
  comparedFor?: Way
  undoSchema?: string
  /** Publications of the live database that take in every table. */
  publications?: string[]
  merged?: MergeResult
  /** A later step failed, and the merge was taken back. */
  takenBack?: {transaction: string}
  findings: Finding[]
  features: FeatureOutcome[]
}

type Sourced = Pick<PartialState, 'source' | 'foreign' | 'live'>

/** What the source is of, when that is another database than the live one, or a dump does not say. */
export function otherDatabase({source: {kind, database}, foreign, live}: Sourced): string | undefined {
  if (kind === 'backup') return foreign
  if (database === null) return 'a database that it does not name'
  return database === live ? undefined : database
}

/** `backup 20261122T020000Z-7f3a`; for people. */
export function sourceTitle(state: Sourced): string {
  const {source: {kind, label}} = state
  if (kind === 'database') return `the database ${label}`
  const other = otherDatabase(state)
  return `${kind === 'backup' ? 'backup' : 'the dump'} ${label}${other === undefined ? '' : ` of ${other}`}`
}

/** To be made anew, or made by an earlier process of this run. */
export const lostTables = ({lost, recreated}: Pick<PartialState, 'lost' | 'recreated'>): TableName[] =>
  distinctTables([...lost, ...recreated?.tables.map(nameOf) ?? []])

/** Where a run keeps the rows as they were before. */
export const undoSchemaOf = (run: string): string => `dr_undo_${run.toLowerCase().replaceAll(/[^a-z\d]+/g, '_')}`.slice(0, 63)

/** The other way round, as the journal is called. */
export function runNamed(schema: string): string {
  const [, at, kind, random] = /^dr_undo_(\d{8}t\d{6}z)_([a-z]+)_([\da-f]{4})$/.exec(schema) ?? []
  return at === undefined ? schema : `${at.toUpperCase()}-${kind ?? ''}-${random ?? ''}`
}

export const wayOf = ({way}: PartialState): Way => {
  if (way === undefined) throw new Error('How the rows are put back was not chosen.')
  return way
}

export function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`There is no ${what} yet.`)
  return value
}
