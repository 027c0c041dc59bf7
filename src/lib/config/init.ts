import {writeFile} from 'node:fs/promises'
import {resolve} from 'node:path'
import {messageOf, preflightError, usageError} from '../errors.ts'
import {environments} from './config.ts'
import {FILE_NAME} from './file.ts'
import {configTemplate} from './template.ts'

export interface InitOptions {
  file: string | undefined
  cwd: string
  environment: string | undefined
  force: boolean
}

/** Writes the commented template. An existing file stays as it is unless `force` is set. */
export async function writeConfigFile({file = FILE_NAME, cwd, environment: wanted, force}: InitOptions): Promise<{file: string; environment: string}> {
  const environment = environments.find((name) => name === (wanted ?? '') || (!wanted && name === 'development'))
  if (!environment) throw usageError('config.value', `environment is ${JSON.stringify(wanted)}, but must be one of ${environments.join(', ')}.`)
  const path = resolve(cwd, file)
  try {
    await writeFile(path, configTemplate(environment), {flag: force ? 'w' : 'wx'})
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw preflightError('config.exists', `${path} exists already.`, {hints: ['Overwrite it: --force'], cause: error})
    throw preflightError('config.unwritable', `${path} cannot be written: ${messageOf(error)}`, {cause: error})
  }
  return {file: path, environment}
}
