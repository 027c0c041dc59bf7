import type {Finding} from '../../checks/finding.ts'
import type {FrozenDatabase} from '../../postgres/freeze.ts'
import type {InstanceMarker} from '../../postgres/instance-marker.ts'
import type {Target} from '../../postgres/target.ts'
import type {Loss} from '../../report/swap-lines.ts'
import type {Fork} from './fork.ts'
import type {RdsOptions} from './options.ts'

/**
 * How clients come to the copy: `rename` gives it the name, and with it the address, of the old one; `url` has the application
 * pointed at its address; `proxy` registers it with the RDS Proxy in place of the old one.
 */
export type CutoverMode = 'rename' | 'url' | 'proxy'

export interface CutoverOptions extends RdsOptions {
  /** The live database, by the address that clients use. */
  target: Target
  /** Identifier of the production instance. */
  name: string
  /** Identifier of the copy; undefined: the only one that dr has made of it. */
  copy?: string | undefined
  mode: CutoverMode
  /** Stop writes on the old one first. */
  freeze: boolean
  /** Take a snapshot of the old one first. */
  snapshot: boolean
  /** Changes that wait for a maintenance window may be made now. */
  acceptPending: boolean
  /** Go on although the copy is not in everything what the old one is. */
  accept: boolean
  /** Leave the old one read-only at the end. */
  keepFrozen: boolean
}

/** What a database holds, as far as it could be counted. */
export interface PartyFacts extends InstanceMarker {
  serverVersion: string
  bytes: number
  tables: number
  rows: number
  newest?: {table: string; column: string; at: string}
}

/** One of the two instances. Its resource id never changes; its identifier does. */
export interface Party {
  id: string
  resourceId: string
  arn: string
  engine: string
  class: string
  status: string
  host: string
  port: number
  /** Undefined: it cannot be connected to. */
  facts?: PartyFacts
}

/** Plain data: it stands in the journal and in --json. */
export interface CutoverState {
  environment: string
  mode: CutoverMode
  /** The production instance. */
  name: string
  /** What the old one is called afterwards (rename). */
  oldName: string
  snapshot: string
  old?: Party
  copy?: Party
  /** RFC 3339, or `latest`. */
  restoredTo?: string
  /** Where the copy parted from its own source. */
  fork?: Fork
  /** What the old one holds and the copy does not, by table. */
  loss?: Loss[]
  /** Why it is not known how many rows were written on the old one since. */
  lossUnknown?: string
  /** The other databases of the old one: what they hold is not in it. */
  uncountedDatabases?: string[]
  findings: Finding[]
  /** Databases of the old one whose writes are to be stopped. */
  stops?: string[]
  frozen?: {databases: FrozenDatabase[]; at?: string; lsn?: string; lastCommit?: string; ended?: number}
  /** When the old one was asked to give its name away; ISO. */
  awayAt?: string
  /** Milliseconds in which the name was nobody's. */
  outageMs?: number
  /** Nothing has led clients there: there is no rds.switchCommand, and somebody must do it. */
  byHand?: boolean
  /** They could have written on the copy, though that may be taken back by now. */
  reached?: boolean
  /** Clients reach the copy. */
  cutOver?: boolean
  /** And it was seen to answer: from here on nothing is taken back but on demand. */
  proven?: boolean
}

export const partyOf = (party: Party | undefined): Party => {
  if (party === undefined) throw new Error('The instances were not looked at.')
  return party
}
