import {createCipheriv, createHash} from 'node:crypto'
import {copyText} from '../../../postgres/copy.ts'
import type {SamplePlan} from './plan.ts'
import {SPAN, stamp} from './pools.ts'
import {hexDigits, of} from './random.ts'

const TYPES = ['amocrm', 'telegram', 'google_sheets', 'voip_utel', 'faceid_attendance', 'meta_ads']
const STATUS = ['active', 'active', 'active', 'error', 'pending', 'disconnected']
const NULL = String.raw`\N`

/** A token as the application stores it: AES-256-GCM under SHA-256 of ENCRYPTION_KEY, wrapped in base64 JSON. */
export function encryptToken(token: string, encryptionKey: string, iv: Buffer): string {
  const cipher = createCipheriv('aes-256-gcm', createHash('sha256').update(encryptionKey).digest(), iv)
  const encrypted = cipher.update(token, 'utf8', 'hex') + cipher.final('hex')
  const parts = {iv: iv.toString('hex'), authTag: cipher.getAuthTag().toString('hex'), encrypted, algorithm: 'aes-256-gcm', version: 1}
  return Buffer.from(JSON.stringify(parts)).toString('base64')
}

/** The COPY lines of integrations: four of the six types for each tenant, tokens readable with this key alone. */
export function* integrationRows(plan: SamplePlan, encryptionKey: string): Generator<string> {
  const salt = plan.salt('integrations.token')
  for (let index = 0; index < plan.size.tenants * 4; index += 1) {
    const [tenant, nth] = [index >> 2, index & 3]
    const status = of(STATUS, tenant + nth)
    const token = JSON.stringify({accessToken: hexDigits(salt, index, 64), refreshToken: hexDigits(salt + 1000, index, 64)})
    const tokens = status === 'pending' ? NULL : encryptToken(token, encryptionKey, Buffer.from(hexDigits(salt + 2000, index, 32), 'hex'))
    const created = stamp(index * 1_000_000)
    yield [
      plan.id('integrations', index), plan.id('tenants', tenant), of(TYPES, tenant + nth), status,
      copyText(JSON.stringify({baseDomain: `tenant${tenant}.amocrm.ru`, scopes: ['crm', 'notifications']})),
      tokens, NULL, status === 'active' ? '2036-01-01 00:00:00' : NULL, status === 'active' ? stamp(SPAN - 1000) : NULL,
      status === 'error' ? 'Token refresh failed: 401' : NULL, created, created,
    ].join('\t') + '\n'
  }
}
