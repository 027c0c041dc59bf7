import {RDSClient} from '@aws-sdk/client-rds'
import type {Config} from '../config/config.ts'

export type RdsPlace = Pick<Config['rds'], 'region' | 'endpoint' | 'profile'>

const CONNECTION_TIMEOUT_MS = 10_000
const SOCKET_TIMEOUT_MS = 30_000

/** Region, profile and endpoint that are not configured are found by the SDK: variables, files, then AWS itself. */
export const createRdsClient = ({region, endpoint, profile}: RdsPlace, attempts = 4): RDSClient =>
  new RDSClient({
    ...(region !== undefined && {region}), ...(endpoint !== undefined && {endpoint}), ...(profile !== undefined && {profile}), maxAttempts: attempts,
    requestHandler: {connectionTimeout: CONNECTION_TIMEOUT_MS, socketTimeout: SOCKET_TIMEOUT_MS},
  })
