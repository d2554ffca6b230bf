using System.Net;
using System.Security.Cryptography;
using Amazon;
using Amazon.Runtime;
using Amazon.Runtime.Internal;
using Amazon.S3;
using Amazon.S3.Model;

namespace FineTuneService.Storage.Artifacts;

/// <summary>A bucket. Its objects are named as the files of the data directory are, so that <c>aws s3 sync</c> brings one to the other.</summary>
public sealed class S3Artifacts : ArtifactStore, IDisposable
{
    private const int DeletesAtOnce = 8, PartsAtOnce = 4, MostParts = 9000;
    private const long PartBytes = 16 << 20;

    private readonly S3Settings _settings;
    private readonly AmazonS3Client _client;

    public S3Artifacts(S3Settings settings)
    {
        _settings = settings;
        var config = new AmazonS3Config
        {
            ForcePathStyle = settings.ForcePathStyle,
            // Not every server knows the checksums that are Amazon's own, nor its chunked signatures; ours are compared wherever a file arrives.
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        };
        if (settings.Endpoint is null)
            config.RegionEndpoint = RegionEndpoint.GetBySystemName(settings.Region);
        else
            (config.ServiceURL, config.AuthenticationRegion) = (settings.Endpoint, settings.Region);
        _client = settings.AccessKey is null ? new(config) : new(new BasicAWSCredentials(settings.AccessKey, settings.SecretKey), config);
    }

    public override bool IsDisk => false;

    public override Task Put(string name, string file, CancellationToken cancel) => Reach(async () =>
    {
        var bytes = new FileInfo(file).Length;
        if (bytes > PartBytes)
            await PutInParts(Key(name), file, bytes, cancel);
        else
            await _client.PutObjectAsync(new() { BucketName = _settings.Bucket, Key = Key(name), FilePath = file, UseChunkEncoding = false }, cancel);
        return true;
    }, cancel);

    public override Task<bool> Fetch(string name, string file, string? sha256, CancellationToken cancel) => Reach(async () =>
    {
        if (await Open(name, cancel) is not { } found)
            return false;
        using var response = found;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var draft = Path.Combine(Path.GetDirectoryName(file)!, $".fetching-{Guid.CreateVersion7():N}");
        try
        {
            string arrived;
            await using (var target = new FileStream(draft, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous))
                arrived = await Copy(response.ResponseStream, target, cancel);
            if (sha256 is not null && arrived != sha256)
                throw new ArtifactDamagedException(name);
            File.Move(draft, file, overwrite: true);
            return true;
        }
        catch (AmazonClientException error) when (error.Message.Contains("hash", StringComparison.OrdinalIgnoreCase))
        {
            throw new ArtifactDamagedException(name); // The client compares with the checksum that the server has.
        }
        finally
        {
            File.Delete(draft);
        }
    }, cancel);

    public override Task<byte[]?> Read(string name, CancellationToken cancel) => Reach(async () =>
    {
        if (await Open(name, cancel) is not { } found)
            return null;
        using var response = found;
        using var content = new MemoryStream();
        await response.ResponseStream.CopyToAsync(content, cancel);
        return content.ToArray();
    }, cancel);

    public override Task<IReadOnlyList<string>> List(string prefix, CancellationToken cancel) => Reach<IReadOnlyList<string>>(async () =>
    {
        var names = new List<string>();
        var request = new ListObjectsV2Request { BucketName = _settings.Bucket, Prefix = Key(prefix) };
        while (true)
        {
            var page = await _client.ListObjectsV2Async(request, cancel);
            names.AddRange((page.S3Objects ?? []).Select(found => found.Key[_settings.Prefix.Length..]));
            if (page.IsTruncated != true)
                return names;
            request.ContinuationToken = page.NextContinuationToken;
        }
    }, cancel);

    public override async Task Delete(string prefix, CancellationToken cancel)
    {
        var names = await List(prefix, cancel);
        // One by one: deletes of many at once ask for a checksum that servers do not agree upon.
        await Reach(async () =>
        {
            await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = DeletesAtOnce, CancellationToken = cancel }, async (name, stop) => await _client.DeleteObjectAsync(_settings.Bucket, Key(name), stop));
            return true;
        }, cancel);
    }

    /// <summary>Lists what is not there: that takes the right to list, and no time.</summary>
    public override Task Check(CancellationToken cancel) => List(".check/", cancel);

    public void Dispose() => _client.Dispose();

    private string Key(string name) => _settings.Prefix + name;

    private async Task<GetObjectResponse?> Open(string name, CancellationToken cancel)
    {
        try
        {
            return await _client.GetObjectAsync(_settings.Bucket, Key(name), cancel);
        }
        catch (AmazonS3Exception missing) when (missing.StatusCode == HttpStatusCode.NotFound && missing.ErrorCode != "NoSuchBucket")
        {
            return null;
        }
    }

    /// <summary>The object is there when all parts are.</summary>
    private async Task PutInParts(string key, string file, long bytes, CancellationToken cancel)
    {
        var size = Math.Max(PartBytes, bytes / MostParts + 1);
        var upload = (await _client.InitiateMultipartUploadAsync(new() { BucketName = _settings.Bucket, Key = key }, cancel)).UploadId;
        try
        {
            var parts = new PartETag[(bytes + size - 1) / size];
            await Parallel.ForEachAsync(Enumerable.Range(0, parts.Length), new ParallelOptions { MaxDegreeOfParallelism = PartsAtOnce, CancellationToken = cancel }, async (index, stop) =>
            {
                var start = index * size;
                var part = await _client.UploadPartAsync(new()
                {
                    BucketName = _settings.Bucket,
                    Key = key,
                    UploadId = upload,
                    PartNumber = index + 1,
                    FilePath = file,
                    FilePosition = start,
                    PartSize = Math.Min(size, bytes - start),
                    UseChunkEncoding = false,
                }, stop);
                parts[index] = new(index + 1, part.ETag);
            });
            await _client.CompleteMultipartUploadAsync(new() { BucketName = _settings.Bucket, Key = key, UploadId = upload, PartETags = [.. parts] }, cancel);
        }
        catch
        {
            await TryAbort(key, upload);
            throw;
        }
    }

    private async Task TryAbort(string key, string upload)
    {
        try
        {
            await _client.AbortMultipartUploadAsync(new() { BucketName = _settings.Bucket, Key = key, UploadId = upload });
        }
        catch (Exception error) when (error is AmazonClientException or AmazonServiceException or HttpRequestException)
        {
            // Buckets have a rule of their own for parts that never became an object.
        }
    }

    /// <returns>SHA-256 of what went by.</returns>
    private static async Task<string> Copy(Stream source, Stream target, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 18];
        for (int read; (read = await source.ReadAsync(buffer, cancel)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
            await target.WriteAsync(buffer.AsMemory(0, read), cancel);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Whatever keeps us from the bucket is one thing to those who ask; the client has tried again a few times by then.</summary>
    private async Task<T> Reach<T>(Func<Task<T>> ask, CancellationToken cancel)
    {
        try
        {
            return await ask();
        }
        catch (Exception error) when (!cancel.IsCancellationRequested && error.GetBaseException() is var cause
            && (error is AmazonClientException or AmazonServiceException or OperationCanceledException or HttpRequestException or HttpIOException || cause is System.Net.Sockets.SocketException))
        {
            var isRefused = error is AmazonServiceException { StatusCode: HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.NotFound };
            throw new ArtifactsAwayException($"The bucket '{_settings.Bucket}' {(isRefused ? "refuses" : "cannot be reached")}: {(error is AmazonServiceException { InnerException: HttpErrorResponseException } ? error : cause).Message}", isRefused, error);
        }
    }
}
