import type {DrError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {isPassedOver, listSettings, readSettings, type InstanceDocument} from '../../repository/instance-settings.ts'
import type {Storage} from '../../repository/storage/storage.ts'

export interface LatestOptions {
  /** Only what was saved for it; else of any. */
  environment?: string | undefined
  /** Only this snapshot of the settings. */
  label?: string | undefined
  signal?: AbortSignal | undefined
}

export interface LatestSettings {
  /** As the API described the instance then. */
  settings: DBInstance
  document: InstanceDocument
  label: string
  location: string
  /** Newer ones that are damaged, and places that could not be read. */
  passedOver: {location: string; message: string}[]
}

/**
 * The newest settings that were saved of an instance, wherever they lie; a damaged file is passed over for the next best.
 * Undefined when there are none. Throws when there may be some: a storage failed and no other has any, or all are damaged.
 */
export async function latestInstanceSettings(storages: readonly Storage[], instance: string, options: LatestOptions = {}): Promise<LatestSettings | undefined> {
  const trouble = new Trouble()
  const found: {storage: Storage; key: string; label: string}[] = []
  for (const storage of storages) {
    await trouble.orNote(storage.location, async () => {
      for (const {key, label} of await listSettings(storage, instance, options)) if (options.label === undefined || options.label === label) found.push({storage, key, label})
    })
  }
  for (const {storage, key, label} of found.toSorted((a, b) => (a.label < b.label ? 1 : a.label > b.label ? -1 : 0))) {
    const location = `${storage.location}/${key}`
    const document = await trouble.orNote(location, () => readSettings(storage, key, options.signal))
    if (document) return {settings: instanceOf(document), document, label, location, passedOver: trouble.passedOver}
  }
  if (trouble.first) throw trouble.first
  return undefined
}

class Trouble {
  readonly passedOver: LatestSettings['passedOver'] = []
  first: DrError | undefined

  async orNote<T>(location: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!isPassedOver(error)) throw error
      this.first ??= error
      this.passedOver.push({location, message: error.message})
      return undefined
    }
  }
}

/** Times of an instance, by the API's names. */
const TIMES: readonly string[] = ['InstanceCreateTime', 'LatestRestorableTime', 'AutomaticRestartTime', 'ResumeFullAutomationModeTime', 'ValidTill']

/** Times are times again, as the SDK gives them. */
function instanceOf({settings}: InstanceDocument): DBInstance {
  return JSON.parse(JSON.stringify(settings), (name, value: unknown) => (TIMES.includes(name) && typeof value === 'string' ? new Date(value) : value)) as DBInstance
}
