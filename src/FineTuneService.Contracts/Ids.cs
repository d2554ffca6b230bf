namespace FineTuneService.Contracts;

/// <summary>Ids that sort by the time they were made: <c>job_0192…</c>, <c>ds_0192…</c>, <c>sweep_0192…</c>.</summary>
public static class Ids
{
    public static string NewJob() => New("job");

    public static string NewDataset() => New("ds");

    public static string NewSweep() => New("sweep");

    public static string NewProject() => New("proj");

    public static string NewKey() => New("key");

    public static string NewUpload() => New("upload");

    public static string NewPart() => New("part");

    public static string NewPreparation() => New("prep");

    public static string NewWebhook() => New("wh");

    public static string NewMessage() => New("msg");

    /// <summary>The random part of an id of ours; null for another.</summary>
    public static Guid? GuidOf(string id) => id.IndexOf('_', StringComparison.Ordinal) is >= 0 and var end && Guid.TryParseExact(id.AsSpan(end + 1), "N", out var guid) ? guid : null;

    /// <summary>The twelve bits after the milliseconds tell fractions of one (RFC 9562, 6.2, method 3): two rows of the same millisecond are listed in their order too.</summary>
    private static string New(string prefix)
    {
        var now = TimeProvider.System.GetUtcNow();
        var fraction = now.Ticks % TimeSpan.TicksPerMillisecond * 4096 / TimeSpan.TicksPerMillisecond;
        var guid = Guid.CreateVersion7(now).ToString("N"); // 12 digits of milliseconds, the version 7, 3 random digits, the variant and the rest.
        return $"{prefix}_{guid[..13]}{fraction:x3}{guid[16..]}";
    }
}
