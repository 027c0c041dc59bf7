/** What an operator or a poller makes of `DBInstanceStatus`. */
export type StatusKind = 'ready' | 'progress' | 'terminal'

/** `backing-up` and `storage-optimization` are in full use; the latter may last more than a day. */
const READY = ['available', 'backing-up', 'storage-optimization']

const REMEDIES: Readonly<Record<string, string>> = {
  failed: 'The instance failed and cannot be repaired: restore again, to an earlier time.',
  'incompatible-restore': 'The backup cannot be restored so, mostly for want of memory in this instance class: restore again with --class, a larger one.',
  'incompatible-network': 'The subnet group has no free address, or its VPC is gone: restore again with --subnet-group.',
  'incompatible-parameters': 'The parameter group asks for what this instance class cannot give: restore again with --class or --parameter-group.',
  'incompatible-option-group': 'The option group does not fit: restore again with --option-group.',
  'inaccessible-encryption-credentials': 'The KMS key is disabled, deleted, or not granted: enable it, then start the instance or restore again.',
  'inaccessible-encryption-credentials-recoverable': 'The KMS key is disabled or not granted: enable it, then start the instance.',
  'insufficient-capacity': 'AWS has no capacity for this class in this zone: restore again with --class.',
  'restore-error': 'The restore failed: look at the events, then restore again.',
  'storage-full': 'The storage is full: aws rds modify-db-instance --allocated-storage with a tenth more at least.',
  deleting: 'Somebody deletes it: restore again, to another name.',
  stopped: 'Somebody stopped it: aws rds start-db-instance.',
  stopping: 'Somebody stops it: aws rds start-db-instance, when it is stopped.',
}

/** A status that nobody knows is progress: AWS adds some, and the poller ends by its budget. Source: RDS User Guide, “DB instance status”. */
export const kindOf = (status: string): StatusKind => (READY.includes(status) ? 'ready' : status in REMEDIES ? 'terminal' : 'progress')

/** AWS makes no final snapshot of these: there is nothing to be saved, and nothing that takes a place. */
export const isLost = (status: string): boolean => LOST.includes(status)

const LOST = ['failed', 'incompatible-restore', 'incompatible-network']

/** What to do about a terminal status. */
export const remedyOf = (status: string): string | undefined => REMEDIES[status]

export const terminalStatuses: readonly string[] = Object.keys(REMEDIES)
