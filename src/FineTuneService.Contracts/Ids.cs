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

    private static string New(string prefix) => $"{prefix}_{Guid.CreateVersion7():N}";
}
