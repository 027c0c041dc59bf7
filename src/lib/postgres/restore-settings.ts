import {rowOf, type Client} from './connection.ts'

const MIB = 1024 * 1024
const MOST_MEMORY = 1024 * MIB

export interface RestoreSettings {
  /** What one CREATE INDEX may use. */
  maintenanceWorkMemBytes: number
  serverMajor: number
}

/**
 * Half of shared_buffers, shared by all jobs, is what a server can spare beside its live database; at most 1 GB each.
 * Never less than the server's own setting: that is what its operator found right.
 */
export const maintenanceWorkMem = ({sharedBuffersBytes, ownBytes, jobs}: {sharedBuffersBytes: number; ownBytes: number; jobs: number}): number =>
  Math.max(ownBytes, Math.min(MOST_MEMORY, Math.floor(sharedBuffersBytes / (2 * jobs))))

export async function readMaintenanceWorkMem(client: Client): Promise<number> {
  const {kilobytes} = await rowOf<{kilobytes: string}>(client, "SELECT setting AS kilobytes FROM pg_settings WHERE name = 'maintenance_work_mem'")
  return Number(kilobytes) * 1024
}

/** Settings of a restore's sessions. Roles and databases may carry limits that would end a long load, or read NULL in an array as a text. */
export const restoreSettings = ({maintenanceWorkMemBytes, serverMajor}: RestoreSettings): [string, string][] => [
  ['maintenance_work_mem', `${Math.floor(maintenanceWorkMemBytes / 1024)}kB`],
  ['synchronous_commit', 'off'],
  ['array_nulls', 'on'],
  ['default_transaction_read_only', 'off'],
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ...(serverMajor >= 14 ? [['idle_session_timeout', '0'] satisfies [string, string]] : []),
  ...(serverMajor >= 17 ? [['transaction_timeout', '0'] satisfies [string, string]] : []),
]

/** The same for PGOPTIONS. */
export const startupOptions = (settings: RestoreSettings): string => restoreSettings(settings).map(([name, value]) => `-c ${name}=${value}`).join(' ')

/** The same as statements. */
export const setStatements = (settings: RestoreSettings): string[] => restoreSettings(settings).map(([name, value]) => `SET ${name} = '${value}'`)
