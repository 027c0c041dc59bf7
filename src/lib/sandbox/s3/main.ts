import {fileURLToPath} from 'node:url'
import {runAsService} from '../service-main.ts'
import {startS3Server, type S3ServerOptions} from './server.ts'

/** This file, to be started by `node` as a process of its own. */
export const s3ServerMain = fileURLToPath(import.meta.url)

const prefix = 'DR_SANDBOX_S3_'

/** Arguments say where, the environment (which `ps` does not show) the rest. */
export function optionsFrom([directory, port = '0']: readonly string[], environment: NodeJS.ProcessEnv): S3ServerOptions {
  const value = (name: string) => environment[`${prefix}${name}`] || undefined
  const [accessKeyId, secretAccessKey, region, rate] = [value('ACCESS_KEY_ID'), value('SECRET_ACCESS_KEY'), value('REGION'), value('BYTES_PER_SECOND')]
  if (directory === undefined || !/^\d+$/.test(port)) throw new Error('Usage: main <directory> [port]')
  if (accessKeyId === undefined || secretAccessKey === undefined) throw new Error(`${prefix}ACCESS_KEY_ID and ${prefix}SECRET_ACCESS_KEY must be set.`)
  return {
    directory,
    credentials: {accessKeyId, secretAccessKey},
    port: Number(port),
    buckets: (value('BUCKETS') ?? '').split(',').filter((name) => name !== ''),
    ...(region === undefined ? {} : {region}),
    ...(rate === undefined ? {} : {bytesPerSecond: Number(rate)}),
  }
}

runAsService(s3ServerMain, () => startS3Server(optionsFrom(process.argv.slice(2), process.env)), (server) => server.close())
