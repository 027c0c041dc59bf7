import type {Config} from '../config/config.ts'
import type {Storage} from '../repository/storage/storage.ts'

/** Opens the repositories that are asked for, in this order. Nothing is reached yet: `Storage.check` does that. */
export async function openStorages(config: Config, which: readonly ('local' | 's3')[]): Promise<Storage[]> {
  return Promise.all([...new Set(which)].map((kind) => (kind === 's3' ? openS3(config) : openLocal(config))))
}

/** Every repository that is configured: the local one always, S3 when a bucket is named. */
export const configuredStorages = (config: Config): ('local' | 's3')[] => (config.s3.bucket === undefined ? ['local'] : ['local', 's3'])

/** A folder of the operator's own choice may be a disk that is not mounted: it is never made on the way. */
async function openLocal({local, dataDirectory}: Config): Promise<Storage> {
  const {LocalStorage} = await import('../repository/storage/local.ts')
  return new LocalStorage(local.directory, {mustExist: !local.directory.startsWith(`${dataDirectory}/`)})
}

async function openS3({s3}: Config): Promise<Storage> {
  const [{S3Storage, profileRegion}, {preflightError}] = await Promise.all([import('../repository/storage/s3.ts'), import('../errors.ts')])
  const {bucket, prefix, region, endpoint, profile, forcePathStyle, checksums} = s3
  if (bucket === undefined) {
    throw preflightError('config.s3-bucket', 'No bucket is configured.', {hints: ['Set AWS_S3_BUCKET, or s3.bucket in dr.config.yaml.', 'dr config init']})
  }
  // The SDK looks for a profile's endpoint_url under this name alone, whatever profile the client is given.
  if (profile !== undefined) process.env.AWS_PROFILE = profile
  return new S3Storage({
    bucket, prefix, region: region ?? (await profileRegion(profile)) ?? 'us-east-1', checksums,
    ...(endpoint !== undefined && {endpoint}), ...(profile !== undefined && {profile}), ...(forcePathStyle !== undefined && {forcePathStyle}),
  })
}
