using System.Net;
using System.Net.Http.Headers;

namespace FineTuneService.Client;

public partial class FineTuneClient
{
    private const int DownloadTries = 5;

    /// <summary>Downloads every file of a checkpoint into a folder, which transformers then opens as it is.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="which">A step, <c>best</c> or <c>final</c>.</param>
    /// <param name="folder">Made where it is missing. Files that are there already are replaced.</param>
    /// <param name="progress">Told the bytes that have come so far, of all files.</param>
    public async Task DownloadCheckpointAsync(string id, string which, string folder, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        var root = Path.GetFullPath(folder) + Path.DirectorySeparatorChar;
        var before = 0L;
        foreach (var file in (await ListCheckpointFilesAsync(id, which, cancellationToken).ConfigureAwait(false)).Data)
        {
            var destination = Path.GetFullPath(Path.Combine(root, file.Path));
            if (!destination.StartsWith(root, StringComparison.Ordinal))
                throw new InvalidDataException($"The service names a file outside of the folder: {file.Path}");
            var address = $"jobs/{Segment(id)}/checkpoints/{Segment(which)}/files/{string.Join('/', file.Path.Split('/').Select(Segment))}";
            var done = before;
            await DownloadAsync(address, destination, progress is null ? null : new Shifted(progress, done), cancellationToken).ConfigureAwait(false);
            before += file.Bytes;
        }
    }

    /// <summary>
    /// Downloads what is at an address of the service into a file. What has come of it lies beside it until it is whole;
    /// a connection that breaks, and a later call, go on from there, if the service still has the same file.
    /// </summary>
    /// <param name="address">Relative to the service, such as <c>jobs/job_…/metrics.csv</c>.</param>
    /// <param name="destination">The file, whose folder is made where it is missing.</param>
    /// <param name="progress">Told the bytes that have come so far.</param>
    public async Task DownloadAsync(string address, string destination, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(destination))!);
        for (var tries = 1; ; tries++)
        {
            try
            {
                await GoOnAsync(address, destination, progress, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (Exception error) when (tries < DownloadTries && error is HttpRequestException or HttpIOException or FineTuneException { Status: >= 500 or 429 })
            {
                await Task.Delay((error as FineTuneException)?.RetryAfter ?? Pause, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task GoOnAsync(string address, string destination, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        var whole = await SendAsync(new(HttpMethod.Get, address), cancellationToken).ConfigureAwait(false);
        // The part's name has the version that it is of, so that two are never joined.
        var version = whole.Headers.ETag is { IsWeak: false } tag ? string.Concat(tag.Tag.Where(char.IsLetterOrDigit)) : null;
        var part = version is null ? $"{destination}.part" : $"{destination}.{version}.part";
        var have = version is not null && File.Exists(part) ? new FileInfo(part).Length : 0;
        if (have > 0 && have == whole.Content.Headers.ContentLength)
        {
            whole.Dispose();
            File.Move(part, destination, overwrite: true);
            return;
        }
        using var response = have == 0 ? whole : await RestAsync(whole, address, have, cancellationToken).ConfigureAwait(false);
        have = response.StatusCode == HttpStatusCode.PartialContent ? have : 0;

        var file = new FileStream(part, have == 0 ? FileMode.Create : FileMode.Append);
        await using (file.ConfigureAwait(false))
        {
            var content = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
            var buffer = new byte[1 << 17];
            for (int read; (read = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0;)
            {
                await file.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                progress?.Report(have += read);
            }
        }
        File.Move(part, destination, overwrite: true);
    }

    private async Task<HttpResponseMessage> RestAsync(HttpResponseMessage whole, string address, long have, CancellationToken cancellationToken)
    {
        using (whole)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address) { Headers = { Range = new RangeHeaderValue(have, null), IfRange = new RangeConditionHeaderValue(whole.Headers.ETag!) } };
            return await SendAsync(request, cancellationToken).ConfigureAwait(false);
        }
    }

    private sealed class Shifted(IProgress<long> progress, long by) : IProgress<long>
    {
        public void Report(long value) => progress.Report(by + value);
    }
}
