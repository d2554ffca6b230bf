using System.Net.Mime;
using System.Text.Json.Nodes;
using FineTuneService.Api.Access;
using FineTuneService.Api.OpenAi;
using FineTuneService.Api.Predictions;
using FineTuneService.Api.Webhooks;
using FineTuneService.Contracts;
using Microsoft.OpenApi;
using Swashbuckle.AspNetCore.SwaggerGen;

namespace FineTuneService.Api.OpenApi;

/// <summary>What the routes read by themselves: the upload's form, and examples of JSON bodies that run as they are.</summary>
internal sealed class Operations : IOperationFilter
{
    private static readonly Dictionary<Type, string> Examples = new()
    {
        [typeof(JobSpec)] = """
            {
              "name": "sst2-sentiment",
              "base_model": "tiny-bert-en",
              "task": "text-classification",
              "dataset": { "train": "sst2/train.tsv", "validation": "sst2/dev.tsv", "test": "sst2/test.tsv" },
              "training": {
                "num_train_epochs": 3,
                "per_device_train_batch_size": 32,
                "learning_rate": 3e-4,
                "lr_scheduler_type": "linear",
                "warmup_steps": 0.1,
                "max_grad_norm": 1.0,
                "max_length": 64,
                "eval_on_start": true,
                "eval_strategy": "epoch",
                "save_strategy": "epoch",
                "load_best_model_at_end": true,
                "metric_for_best_model": "accuracy"
              }
            }
            """,
        [typeof(SweepSpec)] = """
            {
              "name": "sst2-learning-rates",
              "spec": {
                "base_model": "tiny-bert-en",
                "task": "text-classification",
                "dataset": { "train": "sst2/train.tsv", "validation": "sst2/dev.tsv" },
                "training": { "per_device_train_batch_size": 32, "max_length": 64, "eval_strategy": "epoch" }
              },
              "parameters": {
                "/training/learning_rate": { "min": 1e-5, "max": 1e-3, "distribution": "log_uniform" },
                "/training/weight_decay": { "values": [0, 0.01] },
                "/method": { "values": ["full", { "type": "lora", "r": 8 }] }
              },
              "strategy": { "type": "successive_halving", "trials": 9, "reduction_factor": 3, "min_resource": 1, "resource": "num_train_epochs" },
              "metric": "accuracy",
              "max_concurrent_jobs": 2
            }
            """,
        [typeof(PredictBody)] = """{ "texts": ["a warm , funny and surprisingly moving film", "two hours of noise with nothing to say"] }""",
        [typeof(CreateFineTuningJobRequest)] = """{ "model": "tiny-llama-en", "training_file": "file-…", "suffix": "house-style", "method": { "type": "supervised", "supervised": { "hyperparameters": { "n_epochs": 3 } } } }""",
        [typeof(ChatCompletionRequest)] = """{ "model": "ft:tiny-llama-en:default:house-style:…", "messages": [{ "role": "user", "content": "What is an epoch?" }], "max_tokens": 64 }""",
        [typeof(CompletionRequest)] = """{ "model": "tiny-llama-en", "prompt": "Once upon a time", "max_tokens": 64 }""",
        [typeof(GenerateRequest)] = """{ "prompts": ["Once upon a time"], "generation": { "max_new_tokens": 64, "temperature": 0.8, "seed": 1 } }""",
        [typeof(NewWebhook)] = """{ "url": "https://example.com/hooks", "events": ["job.succeeded", "job.failed"] }""",
    };

    public void Apply(OpenApiOperation operation, OperationFilterContext context)
    {
        var metadata = context.ApiDescription.ActionDescriptor.EndpointMetadata;
        if (metadata.OfType<RequiredScope>().LastOrDefault() is { } needed)
            Secure(operation, needed.Scope, context.Document);
        if (metadata.OfType<FileUpload>().FirstOrDefault() is { } upload)
            operation.RequestBody = Form(upload);
        if (context.ApiDescription.ParameterDescriptions.FirstOrDefault(parameter => parameter.Source.Id == "Body") is { Type: { } body } && Examples.TryGetValue(body, out var example))
            ((OpenApiMediaType)operation.RequestBody!.Content![MediaTypeNames.Application.Json]).Example = JsonNode.Parse(example);
    }

    private static void Secure(OpenApiOperation operation, string scope, Microsoft.OpenApi.OpenApiDocument document)
    {
        operation.Security = [new() { [new OpenApiSecuritySchemeReference(OpenApi.OpenApiDocument.Key, document)] = [] }];
        operation.Description = $"{operation.Description}\n\nScope: `{scope}`.".Trim();
        foreach (var (status, why) in new[] { ("401", "Unauthorized"), ("403", "Forbidden"), ("429", "Too Many Requests") })
            operation.Responses!.TryAdd(status, new OpenApiResponse { Description = why });
    }

    private static OpenApiRequestBody Form(FileUpload upload)
    {
        var parts = new Dictionary<string, IOpenApiSchema> { [upload.FilePart] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary", Description = upload.File } };
        if (upload.TextPart is { } text)
            parts[text] = new OpenApiSchema { Type = JsonSchemaType.String, MaxLength = 128, Description = upload.Text, Example = upload.Example };
        return new()
        {
            Required = true,
            Content = new Dictionary<string, OpenApiMediaType>
            {
                [MediaTypeNames.Multipart.FormData] = new() { Schema = new OpenApiSchema { Type = JsonSchemaType.Object, Required = new HashSet<string> { upload.FilePart }, Properties = parts } },
            },
        };
    }
}
