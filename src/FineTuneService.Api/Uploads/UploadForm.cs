using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using FineTuneService.Api.Idempotency;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Uploads;

/// <summary>A multipart form with one file, which goes to the disk as it comes in, and a few short texts.</summary>
/// <param name="FileName">Without folders.</param>
/// <param name="Fields">The texts by their names; empty ones are left out.</param>
/// <param name="Sha256">Of the file, in hexadecimal.</param>
public sealed record UploadForm(string FileName, IReadOnlyDictionary<string, string> Fields, string Sha256)
{
    public string? Name => Fields.GetValueOrDefault("name");

    private const int BufferBytes = 128 * 1024;
    private const int MaxTextLength = 128, MaxTexts = 16, MaxFileNameLength = 255;
    private const long FormOverhead = 1 << 20;

    /// <param name="create">Opens the file that is written, by the name of the one that is sent.</param>
    /// <param name="limit">Bytes of the file; more are refused with 413.</param>
    /// <param name="part">What the part with the file should be called; any name will do.</param>
    public static async Task<UploadForm> Read(HttpRequest request, Func<string, Stream> create, long limit, CancellationToken cancel, string part = "file")
    {
        var form = await ReadParts(request, create, limit, part, cancel);
        RequestFingerprint.Leave(request.HttpContext, form.Print());
        return form;
    }

    /// <summary>What <see cref="Read"/> leaves, of a form that was read before and is not wanted again.</summary>
    public static async Task<string> Fingerprint(HttpRequest request, CancellationToken cancel) => (await ReadParts(request, _ => Stream.Null, long.MaxValue - FormOverhead, "file", cancel)).Print();

    private string Print() => string.Join('\n', Fields.OrderBy(field => field.Key, StringComparer.Ordinal).Select(field => $"{field.Key}={field.Value}").Prepend($"{FileName} {Sha256}"));

    private static async Task<UploadForm> ReadParts(HttpRequest request, Func<string, Stream> create, long limit, string part, CancellationToken cancel)
    {
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = limit + FormOverhead;
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || type.MediaType != "multipart/form-data" || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 128 } boundary)
            throw new ProblemException(StatusCodes.Status415UnsupportedMediaType, $"Send multipart/form-data with the file in a part named '{part}'.");

        var reader = new MultipartReader(boundary.Value!, request.Body);
        (string FileName, string Sha256)? file = null;
        var fields = new Dictionary<string, string>();
        try
        {
            while (await reader.ReadNextSectionAsync(cancel) is { } section)
            {
                var disposition = section.GetContentDispositionHeader();
                if (disposition is not null && disposition.IsFileDisposition() && file is null)
                    file = await Save(section, (disposition.FileNameStar.HasValue ? disposition.FileNameStar : disposition.FileName).Value!, create, limit, cancel);
                else if (disposition is not null && disposition.IsFileDisposition())
                    throw new FaultException(part, null, "There is more than one file.", "Upload each file by itself.");
                else if (HeaderUtilities.RemoveQuotes(disposition?.Name ?? default).Value is { Length: > 0 } name && await ReadText(section, name, cancel) is { Length: > 0 } text && fields.Count < MaxTexts)
                    fields[name] = text;
            }
        }
        catch (InvalidDataException error)
        {
            throw new ProblemException(StatusCodes.Status400BadRequest, $"The form is broken: {error.Message}");
        }
        catch (IOException error) when (error.Message.StartsWith("Unexpected end", StringComparison.Ordinal))
        {
            throw new ProblemException(StatusCodes.Status400BadRequest, "The form ends in the middle.");
        }
        return file is var (fileName, sha256) ? new(fileName, fields, sha256) : throw new FaultException(part, null, "There is no file in the form.", $"Add a part named '{part}' with a file name.");
    }

    private static async Task<(string FileName, string Sha256)> Save(MultipartSection section, string givenName, Func<string, Stream> create, long limit, CancellationToken cancel)
    {
        var fileName = Path.GetFileName(givenName.Replace('\\', '/'));
        if (fileName.Length > MaxFileNameLength || fileName.Any(char.IsControl))
            throw new FaultException("file", fileName[..Math.Min(fileName.Length, MaxTextLength)], "This is no file name.", $"Give at most {MaxFileNameLength} characters, none of them a control character.");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var file = create(fileName);
            var written = 0L;
            for (int read; (read = await section.Body.ReadAsync(buffer, cancel)) > 0;)
            {
                if ((written += read) > limit)
                    throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"The file is larger than {limit} bytes.");
                hash.AppendData(buffer, 0, read);
                await file.WriteAsync(buffer.AsMemory(0, read), cancel);
            }
            (file as FileStream)?.Flush(flushToDisk: true);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return (fileName, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    private static async Task<string> ReadText(MultipartSection section, string name, CancellationToken cancel)
    {
        var buffer = new byte[4 * MaxTextLength + 1];
        var length = await section.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancel);
        var text = Encoding.UTF8.GetString(buffer, 0, length).Trim();
        return text.Length <= MaxTextLength && !text.Contains('\0') ? text : throw new FaultException(name, text, $"This is no {name}.", $"Give at most {MaxTextLength} characters.");
    }
}
