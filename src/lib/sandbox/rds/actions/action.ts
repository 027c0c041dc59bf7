import type {Value} from '../document.ts'
import type {RdsFaultAction} from '../faults.ts'
import type {Form} from '../form.ts'
import type {Instance} from '../instance.ts'
import {instanceState} from '../rds-error.ts'
import type {Region} from '../region.ts'

export interface Call {
  region: Region
  form: Form
  /** The status in which what this call begins shall end, by switch. */
  endsAs: string | undefined
}

/** One call of the API: its result, or nothing where it has none. Throws RdsError. */
export type Action = (call: Call) => {readonly [name: string]: Value} | undefined | Promise<{readonly [name: string]: Value} | undefined>

export const endsAsOf = (fault: RdsFaultAction | undefined): string | undefined => (fault && 'endsAs' in fault ? fault.endsAs : undefined)

/** The instance, which must be in use: most calls are refused in any other status. */
export function inUse(region: Region, id: string): Instance {
  const instance = region.find(id)
  if (!['available', 'storage-optimization', 'backing-up'].includes(instance.status)) throw instanceState(instance.id, instance.status)
  return instance
}
