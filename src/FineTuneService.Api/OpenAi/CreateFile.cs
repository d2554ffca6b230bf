using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Projects;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.OpenAi;

public static class CreateFile
{
    /// <summary>Uploads a file for fine-tuning, as OpenAI's <c>POST /files</c>; it is the same as a dataset.</summary>
    /// <remarks>A multipart form with <c>file</c> and <c>purpose</c>, which is <c>fine-tune</c>. Conversations (<c>messages</c>), preferences (<c>input</c>, <c>preferred_output</c>, <c>non_preferred_output</c>), prompts with completions, or labelled texts.</remarks>
    public static async Task<JsonHttpResult<OpenAiFile>> Handle(
        HttpRequest request, FineTuneDb db, StorageSettings storage, DatasetFiles datasets, IOptions<DatasetSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        await using var draft = new DatasetDraft(storage, datasets);
        var form = await UploadForm.Read(request, draft.Create, await Quotas.StorageLeft(db, settings.Value.MaxBytes, cancel), cancel);
        OpenAiFile.CheckPurpose(form.Fields.GetValueOrDefault("purpose"), "/purpose");
        if (form.Fields.Keys.Any(field => field.StartsWith("expires_after", StringComparison.Ordinal)))
            throw new FaultException("/expires_after", null, "Files do not expire here.", "Leave it out, and delete the file when you are done with it.");
        var dataset = await draft.Publish(db.Project!, form.FileName, form.FileName, form.Sha256, clock.GetMicrosecondsNow(), cancel);
        await dataset.Keep(db, datasets, settings.Value, clock, cancel);
        return OpenAiJson.Answer(OpenAiFile.From(dataset));
    }
}
