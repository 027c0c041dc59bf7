import type {Config} from '../config/config.ts'
import {preflightError} from '../errors.ts'
import type {RdsApi} from '../rds/api.ts'
import type {Context} from './context.ts'

export interface OpenRds {
  config: Config
  api: RdsApi
  close: () => void
}

/** The API of the configured region; nothing is asked of it yet. */
export async function openRds(context: Context): Promise<OpenRds> {
  const [config, {RdsApi: Api}] = await Promise.all([context.config(), import('../rds/api.ts')])
  const {region, endpoint, profile} = config.rds
  // The SDK looks for a profile's endpoint_url under this name alone, whatever profile the client is given.
  if (profile !== undefined) process.env.AWS_PROFILE = profile
  const api = new Api({...(region !== undefined && {region}), ...(endpoint !== undefined && {endpoint}), ...(profile !== undefined && {profile})})
  return {config, api, close: () => { api.close() }}
}

/** The flag's instance, else the configured one. Throws `config.rds-instance` (exit 3). */
export function instanceOf({rds}: Config, flag: string | undefined): string {
  const instance = flag ?? rds.instance
  if (instance === undefined) throw preflightError('config.rds-instance', 'No RDS instance is named.', {hints: ['--source ID', 'Set rds.instance in dr.config.yaml, or DR_RDS_INSTANCE.']})
  return instance
}
