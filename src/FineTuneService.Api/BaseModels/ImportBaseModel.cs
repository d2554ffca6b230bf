using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.BaseModels;

public static class ImportBaseModel
{
    /// <summary>Takes in a base model: a Hugging Face folder as tar, tar.gz or zip.</summary>
    /// <remarks>
    /// Config, tokenizer and safetensors are taken, all other files are passed over, pickled weights always. The archive is refused whole when it has links, or names that lead
    /// out of it, or no model that this service can train. It is published whole or not at all.
    /// </remarks>
    public static async Task<Created<BaseModelView>> Handle(HttpRequest request, StorageSettings storage, BaseModelFiles models, IOptions<BaseModelSettings> settings, CancellationToken cancel)
    {
        var limit = settings.Value.MaxBytes;
        using var draft = new BaseModelDraft(storage);
        var upload = await UploadForm.Read(request, fileName => Create(draft, fileName), limit, cancel);
        var name = upload.Name ?? ModelArchive.NameWithoutEnding(upload.FileName)!;
        if (!HubModel.IsId(name))
            throw new FaultException("name", name, "This is no name for a base model.", "Give name or organisation/name: letters, digits, '-', '_' and '.', 96 at most.");
        await draft.CheckName(name, models, cancel); // Before the long work; Publish decides.

        var folder = await new ModelArchive(draft.Archive, upload.FileName, draft.Folder, limit).Unpack(cancel);
        var view = new BaseModelFolder(name, folder).View();
        if (!view.Supported)
            throw new FaultException(upload.FileName, name, $"This model cannot be used. {view.WhyNot}", "Pack a model of a known family with its tokenizer, as save_pretrained writes it.");
        await models.Publish(name, folder, cancel);
        draft.Publish(folder, name);
        return TypedResults.Created("/base-models", view);
    }

    private static FileStream Create(BaseModelDraft draft, string fileName) => ModelArchive.NameWithoutEnding(fileName) is null
        ? throw new FaultException("file", fileName, "The name tells no format of an archive.", "Send a file that ends in .tar, .tar.gz, .tgz or .zip.")
        : new FileStream(draft.Archive, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous);
}
