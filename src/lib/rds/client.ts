import {RDSClient} from '@aws-sdk/client-rds'
import type {Config} from '../config/config.ts'
import {NOT_RDS} from './faults.ts'

export type RdsPlace = Pick<Config['rds'], 'region' | 'endpoint' | 'profile'>

const CONNECTION_TIMEOUT_MS = 10_000
const SOCKET_TIMEOUT_MS = 30_000

/** Region, profile and endpoint that are not configured are found by the SDK: variables, files, then AWS itself. */
export function createRdsClient({region, endpoint, profile}: RdsPlace, attempts = 4): RDSClient {
  const client = new RDSClient({
    ...(region !== undefined && {region}), ...(endpoint !== undefined && {endpoint}), ...(profile !== undefined && {profile}), maxAttempts: attempts,
    requestHandler: {connectionTimeout: CONNECTION_TIMEOUT_MS, socketTimeout: SOCKET_TIMEOUT_MS},
  })
  refuseStrangers(client)
  return client
}

/** To the SDK the page of a proxy is a reply in which nothing stands: an instance would seem to be gone. RDS numbers its replies. */
function refuseStrangers(client: RDSClient): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      if (result.output.$metadata.requestId === undefined) throw Object.assign(new Error('what answered is not RDS'), {name: NOT_RDS})
      return result
    },
    {name: 'refuseStrangers', step: 'initialize'},
  )
}
