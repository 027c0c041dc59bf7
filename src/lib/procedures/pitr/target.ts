import type {Config} from '../../config/config.ts'
import type {Target} from '../../postgres/target.ts'

/**
 * The same database on another instance, with the same user and password: those of a copy are the ones of its source. Hosts of RDS are
 * held to their certificate where its authorities are known.
 */
export function targetAt(target: Target, {host = target.host, port = target.port}: {host?: string; port?: number}, {config: {rds: {caBundle}}}: {config: {rds: Pick<Config['rds'], 'caBundle'>}}): Target {
  return {...target, host, port, ...(caBundle !== undefined && isRds(host) && {ssl: {mode: 'verify-full' as const, rootCert: caBundle}})}
}

export const isRds = (host: string): boolean => /\.rds\.amazonaws\.com(\.cn)?$/.test(host)
