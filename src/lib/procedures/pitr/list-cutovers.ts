import {unfreezeSql} from '../../postgres/freeze.ts'
import type {DBInstance} from '../../rds/api.ts'
import {TAG} from '../../rds/tags.ts'
import type {CutoverSide, FrozenInstance, ListedCutover} from '../../report/recovery-list.ts'
import {OPEN, type KnownRun} from '../../runbook/runs.ts'
import {openCutovers, type OpenCutover} from './cutover-claim.ts'
import {journalOf} from './cutover-journal.ts'
import {cutoverMarkOf, frozenOf, frozenRunOf, keptOf, type CutoverMark} from './cutover-marks.ts'

export interface CutoverPlace {
  /** Folder of the journals. */
  journals: string
  /** The production instance that commands mean when none is named. */
  live: string | undefined
}

/** Cut-overs that are half done, of every production instance. Of a run of another machine nothing is known but its marks. */
export async function listCutovers(all: readonly DBInstance[], place: CutoverPlace): Promise<ListedCutover[]> {
  const names = new Set(all.flatMap((one) => cutoverMarkOf(one)?.name ?? []))
  return Promise.all([...names].flatMap((name) => openCutovers(all, name)).map((one) => shownCutover(all, one, place)))
}

const sideOf = ({DBInstanceIdentifier: instance = '', DbiResourceId: resourceId = '', DBInstanceStatus: status = ''}: DBInstance): CutoverSide => ({instance, resourceId, status})

async function shownCutover(all: readonly DBInstance[], {copy, mark}: OpenCutover, place: CutoverPlace): Promise<ListedCutover> {
  const {name, mode, run, rollback = null, resourceId} = mark
  const old = all.find(({DbiResourceId}) => DbiResourceId === resourceId) ?? {}
  const holder = all.find(({DBInstanceIdentifier}) => DBInstanceIdentifier === name)
  const known = await journalOf(place, run)
  return {
    name, mode, run, status: known?.status ?? null, rollback, old: sideOf(old), new: sideOf(copy), stopped: stoppedIn(old) ?? null,
    holder: holder === undefined ? null : holder.DbiResourceId === resourceId ? 'old' : holder.DbiResourceId === copy.DbiResourceId ? 'new' : 'other',
    resume: rollback !== null || (known && !isLeft(known)) ? null : {command: `dr resume ${run}`, here: known !== undefined}, back: backCommand(name, run, place),
  }
}

const isLeft = ({status}: KnownRun): boolean => status !== 'running' && OPEN.includes(status)
const backCommand = (name: string, run: string, {live}: CutoverPlace): string => `dr pitr rollback ${run}${name === live?.toLowerCase() ? '' : ` --source ${name}`}`

function stoppedIn(instance: DBInstance): string[] | 'all' | undefined {
  const frozen = frozenOf(instance)
  return frozen === 'all' ? 'all' : frozen?.map(({name}) => name)
}

/** Instances that are read-only by dr and in no half-done cut-over: on purpose, or left so. */
export async function listFrozen(all: readonly DBInstance[], cutovers: readonly ListedCutover[], place: CutoverPlace): Promise<FrozenInstance[]> {
  const inCutover = new Set(cutovers.map(({old}) => old.resourceId))
  return Promise.all(all.filter((one) => frozenOf(one) !== undefined && !inCutover.has(one.DbiResourceId ?? '')).map(async (one) => {
    const run = frozenRunOf(one)
    const known = run === undefined ? undefined : await journalOf(place, run)
    return {...sideOf(one), databases: stoppedIn(one) ?? [], run: run ?? null, runStatus: known?.status ?? null, remedies: remediesOf(one, all, known, place)}
  }))
}

/** Where nobody has switched yet, the application cannot write. */
function pointing(all: readonly DBInstance[], {run}: CutoverMark): FrozenInstance['remedies'] {
  const {DBInstanceIdentifier: id = '', Endpoint} = all.find((one) => cutoverMarkOf(one)?.run === run) ?? {}
  return [{command: `DATABASE_URL: ${Endpoint?.Address ?? ''}:${Endpoint?.Port ?? ''}`, does: `${id} has taken its place: point the application there, where that was not done`}]
}

function remediesOf(instance: DBInstance, all: readonly DBInstance[], known: KnownRun | undefined, place: CutoverPlace): FrozenInstance['remedies'] {
  if (known?.status === 'running') return []
  const mark = all.map((one) => cutoverMarkOf(one)).find((one) => one?.resourceId === instance.DbiResourceId)
  const frozen = frozenOf(instance)
  const sql = unfreezeSql(frozen === undefined || frozen === 'all' ? [{name: 'NAME', former: null}] : frozen)
  return [
    ...(known && isLeft(known) ? [{command: `dr resume ${known.run}`, does: 'goes on with the run that has stopped them'}] : []),
    ...(mark?.mode === 'url' ? pointing(all, mark) : []),
    ...(mark ? [{command: backCommand(mark.name, mark.run, place), does: `brings it back in place of ${mark.name}, with writes`}] : [
      ...sql.map((command) => ({command, does: frozen === 'all' ? `there, for each database that is read-only${keptOf(instance).length === 0 ? '' : `, but not for ${keptOf(instance).join(', ')}`}` : 'there: it takes writes again'})),
      {command: `aws rds remove-tags-from-resource --resource-name ${instance.DBInstanceArn ?? 'ARN'} --tag-keys ${TAG.frozen}`, does: 'then: it is off this list'},
    ]),
  ]
}
