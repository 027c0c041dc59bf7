import {instanceState, invalidCombination} from '../rds-error.ts'
import type {Action} from './action.ts'
import {takeSnapshot} from './snapshot.ts'

/** In the service's time. */
const DELETING_SECONDS = 120

/** Without `DeleteAutomatedBackups=false` the automated backups go too: the service's default. */
export const deleteDbInstance: Action = (call) => {
  const {region, form} = call
  const instance = region.find(form.required('DBInstanceIdentifier'))
  const [skip, finalId, backups] = [form.boolean('SkipFinalSnapshot') ?? false, form.text('FinalDBSnapshotIdentifier'), form.boolean('DeleteAutomatedBackups') ?? true]
  if (instance.settings.DeletionProtection) throw invalidCombination('Cannot delete protected DB Instance, please disable deletion protection and try again.')
  if (skip === (finalId !== undefined)) throw invalidCombination(skip ? 'FinalDBSnapshotIdentifier cannot be given with SkipFinalSnapshot.' : 'FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.')
  if (!skip && ['failed', 'incompatible-restore', 'incompatible-network'].includes(instance.status)) throw instanceState(instance.id, instance.status)
  form.assertAllRead()
  if (finalId !== undefined) takeSnapshot(call, instance, finalId)
  instance.timeline.follow([
    {status: 'deleting', seconds: DELETING_SECONDS, ...(finalId !== undefined && {work: {do: 'finish snapshot', id: finalId}})},
    {status: 'deleting', seconds: 0, work: {do: 'delete', keepBackups: !backups}},
  ], {end: 'deleting'})
  return {DBInstance: region.shown(instance)}
}
