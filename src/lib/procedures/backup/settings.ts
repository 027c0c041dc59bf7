import {messageOf} from '../../errors.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {Step} from '../../runbook/procedure.ts'
import type {SavedSettings} from '../instance-settings/save.ts'
import type {BackupState} from './options.ts'
import type {BackupWork} from './work.ts'

/** The RDS instance that holds the database. */
export interface BackedUpInstance {
  id: string
  save: (storages: readonly Storage[], signal: AbortSignal) => Promise<SavedSettings>
}

/** Beside the backup, what a deleted instance would be made anew from. Whatever goes wrong with that is told, and fails no backup. */
export function settingsStep({id, save}: BackedUpInstance, work: BackupWork): Step<BackupState> {
  return {
    id: 'backup.settings',
    title: `Save the settings of ${id}`,
    effect: 'write',
    byHand: () => [{argv: ['dr', 'config', 'snapshot', '--source', id]}],
    async run(state, io) {
      try {
        const {label, missing, failures} = await save(work.destinations.filter(({failure}) => failure === undefined).map(({storage}) => storage), io.signal)
        state.settings = label
        for (const {what, why} of missing) io.notice(`Not among the settings of ${id}: ${what}. ${why}`)
        for (const {destination, message} of failures) io.notice(`The settings of ${id} are not at ${destination}: ${message}`)
      } catch (error) {
        io.signal.throwIfAborted()
        io.notice(`The settings of ${id} were not saved: ${messageOf(error)}`)
      }
    },
  }
}
