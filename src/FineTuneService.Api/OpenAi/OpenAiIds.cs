using FineTuneService.Api.Problems;
using FineTuneService.Contracts;

namespace FineTuneService.Api.OpenAi;

/// <summary>The same things under OpenAI's ids: <c>file-HEX</c> is dataset <c>ds_HEX</c>, <c>ftjob-HEX</c> is job <c>job_HEX</c>, <c>file-results-HEX</c> is what that job's results are called.</summary>
internal static class OpenAiIds
{
    private const string FileMark = "file-", ResultsMark = "file-results-", JobMark = "ftjob-", EventMark = "ftevent-", CheckpointMark = "ftckpt_";
    private const string DatasetMark = "ds_", NativeJobMark = "job_";

    public static string File(string datasetId) => FileMark + datasetId[DatasetMark.Length..];

    public static string Results(string jobId) => ResultsMark + jobId[NativeJobMark.Length..];

    public static string Job(string jobId) => JobMark + jobId[NativeJobMark.Length..];

    /// <summary>Of who may be a job; another, such as a sweep, is called here as there.</summary>
    public static string JobOrOther(string id) => id.StartsWith(NativeJobMark, StringComparison.Ordinal) ? Job(id) : id;

    public static string Event(long id) => FormattableString.Invariant($"{EventMark}{id}");

    public static string Checkpoint(string jobId, int step) => FormattableString.Invariant($"{CheckpointMark}{jobId[NativeJobMark.Length..]}-{step}");

    public static bool IsResults(string fileId) => fileId.StartsWith(ResultsMark, StringComparison.Ordinal);

    public static string DatasetOf(string fileId) => DatasetMark + After(FileMark, fileId, "file");

    public static string JobOfResults(string fileId) => NativeJobMark + After(ResultsMark, fileId, "file");

    public static string JobOf(string jobId) => NativeJobMark + After(JobMark, jobId, "fine-tuning job");

    /// <summary>What sorts files, whichever they are: the time when the dataset or the job was made.</summary>
    /// <exception cref="FaultException">When <c>after</c> names no file.</exception>
    public static string SortKeyOf(string fileId) => IsResults(fileId) ? fileId[ResultsMark.Length..]
        : fileId.StartsWith(FileMark, StringComparison.Ordinal) ? fileId[FileMark.Length..] : throw NoCursor(fileId);

    /// <exception cref="FaultException">When <c>after</c> names no event.</exception>
    public static long EventOf(string eventId) =>
        eventId.StartsWith(EventMark, StringComparison.Ordinal) && long.TryParse(eventId[EventMark.Length..], out var id) ? id : throw NoCursor(eventId);

    /// <exception cref="FaultException">When <c>after</c> names no checkpoint.</exception>
    public static int StepOf(string checkpointId) =>
        checkpointId.StartsWith(CheckpointMark, StringComparison.Ordinal) && int.TryParse(checkpointId[(checkpointId.LastIndexOf('-') + 1)..], out var step) ? step : throw NoCursor(checkpointId);

    /// <exception cref="FaultException">When <c>after</c> names no job.</exception>
    public static string JobAfter(string jobId) => jobId.StartsWith(JobMark, StringComparison.Ordinal) ? NativeJobMark + jobId[JobMark.Length..] : throw NoCursor(jobId);

    private static string After(string mark, string id, string what) => id.StartsWith(mark, StringComparison.Ordinal) ? id[mark.Length..] : throw ProblemException.NotFound(what, id);

    private static FaultException NoCursor(string given) => new("?after", given, "This is no id of such a list.", "Give the id of the last object of the page before.");
}
