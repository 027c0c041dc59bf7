import {lockedError} from '../../errors.ts'
import {isAbandoned, type LeaseRecord} from '../../repository/lease.ts'
import {Repository} from '../../repository/repository.ts'
import type {Procedure, Step, StepIo} from '../../runbook/procedure.ts'
import type {ProcessIdentity} from '../../system/process-identity.ts'
import {targetName} from '../../postgres/target.ts'
import type {BackupOptions, BackupState} from './options.ts'
import {allOf, removeAbandoned} from './removal.ts'

/**
 * Undoes a backup whose process is gone. Its journal does not know the label: each attempt has one of its own. The lease does
 * know the process. What has a manifest is a backup, and is never touched.
 */
export function backupTakeBack(options: Pick<BackupOptions, 'config' | 'storages' | 'target'>, owners: readonly ProcessIdentity[]): Procedure<BackupState> {
  const {config, storages, target} = options
  const step: Step<BackupState> = {
    id: 'backup.copy',
    title: 'Lock, snapshot, dump and store',
    effect: 'write',
    byHand: () => [],
    run: () => Promise.reject(new Error('An interrupted backup is not gone on with.')),
    undo: (_, io) => allOf(storages.map((storage) => () => removeFrom(new Repository(storage, config.environment), owners, io))),
  }
  return {id: 'backup', title: `Back up ${target.database} (${config.environment})`, target: targetName(target), phases: [{title: 'Back up', steps: [step]}]}
}

async function removeFrom(repository: Repository, owners: readonly ProcessIdentity[], io: StepIo): Promise<void> {
  const {signal} = io
  for (const {label, lease} of await repository.unfinished({signal})) {
    if (lease === undefined || !owners.some((owner) => isOf(lease, owner))) continue
    if (!isAbandoned(lease, new Date())) throw lockedError('backup.running', `The backup ${label} at ${repository.storage.location} may still be at work, as process ${lease.pid} on ${lease.host}.`, {hints: ['Wait until its lease has lapsed, an hour after its last sign of life.']})
    await removeAbandoned(repository, label, {signal})
    io.notice(`Removed the unfinished backup ${label} at ${repository.storage.location}.`)
  }
}

const isOf = (lease: LeaseRecord, {pid, host, ticks, boot, pidNamespace}: ProcessIdentity): boolean =>
  lease.pid === pid && lease.host === host && lease.ticks === ticks && lease.boot === boot && lease.pidNamespace === pidNamespace
