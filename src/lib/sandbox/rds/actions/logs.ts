import {stat} from 'node:fs/promises'
import {join} from 'node:path'
import type {Action} from './action.ts'
import {paged} from './describe.ts'

/** One: the log of the server. */
export const describeDbLogFiles: Action = async ({region, form}) => {
  const instance = region.find(form.required('DBInstanceIdentifier'))
  const [contains = '', since = 0, least = 0] = [form.text('FilenameContains'), form.integer('FileLastWritten'), form.integer('FileSize')]
  const found = await stat(join(instance.directory, 'server.log')).catch(() => undefined)
  const all = found ? [{LogFileName: 'error/postgresql.log', LastWritten: Math.round(found.mtimeMs), Size: found.size}] : []
  return paged(form, 'DescribeDBLogFiles', all.filter((one) => one.LogFileName.includes(contains) && one.LastWritten >= since && one.Size >= least))
}
