using System.Text.Json.Nodes;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Tests.RandomSpecs;

/// <summary>A task that a model with some head can learn, with options of its own.</summary>
/// <param name="Json">As a specification has it.</param>
/// <param name="Rows">What its rows are: its type, or the type of its labels.</param>
internal sealed record RandomTask(JsonObject Json, string Rows)
{
    private const string Template = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    public static RandomTask Of(ModelHead head, Draw draw)
    {
        var task = new JsonObject();
        string? labels = null;
        void Maybe(double chance, string name, Func<JsonNode?> value)
        {
            if (draw.Chance(chance))
                task[name] = value();
        }

        switch (head)
        {
            case ModelHead.SequenceClassification:
                task["type"] = "text-classification";
                labels = draw.Of("single_label_classification", "single_label_classification", "multi_label_classification", "regression");
                if (labels == "regression" || draw.Chance(0.5))
                    task["problem_type"] = labels;
                if (labels != "regression")
                    Maybe(0.25, "focal_gamma", () => draw.Of(0.5, 2.0));
                if (labels == "single_label_classification")
                    Maybe(0.3, "class_weights", () => draw.Of("balanced", "list", "labels") switch
                    {
                        "balanced" => JsonValue.Create("balanced"),
                        "list" => new JsonArray(1, 2.5, 0.5),
                        _ => new JsonObject { ["b"] = 3 },
                    });
                break;
            case ModelHead.TokenClassification:
                task["type"] = "token-classification";
                Maybe(0.5, "label_all_tokens", () => true);
                Maybe(0.4, "label_names", () => new JsonArray("O", "B-X", "I-X", "B-Y"));
                break;
            case ModelHead.MaskedLm:
                task["type"] = "masked-lm";
                Maybe(0.5, "mlm_probability", () => draw.Of(0.05, 0.4));
                Maybe(0.3, "whole_word_masking", () => true);
                Maybe(0.4, "packing", () => true);
                break;
            case ModelHead.ReplacedTokenDetection:
                task["type"] = "replaced-token-detection";
                Maybe(0.4, "packing", () => true);
                Maybe(0.4, "discriminator_weight", () => draw.Of(1.0, 10.0));
                Maybe(0.5, "generator", () => new JsonObject { ["size"] = draw.Of(0.25, 0.5, 1.0), ["share_embeddings"] = draw.Chance(0.5) });
                break;
            default:
                task["type"] = draw.Of("causal-lm", "causal-lm", "sft", "sft", "dpo");
                if ((string?)task["type"] == "dpo")
                {
                    task["loss_type"] = draw.Of("sigmoid", "ipo");
                    Maybe(0.4, "beta", () => draw.Of(0.5, 2.0));
                    if ((string?)task["loss_type"] == "sigmoid")
                        Maybe(0.3, "label_smoothing", () => 0.1);
                }
                else
                    Maybe(0.5, "packing", () => draw.Chance(0.6));
                if ((string?)task["type"] == "sft")
                {
                    Maybe(0.3, "completion_only_loss", () => false);
                    Maybe(0.3, "assistant_only_loss", () => false);
                    task["over_length"] = draw.Of("truncate", "truncate", "drop");
                }
                if ((string?)task["type"] is "sft" or "dpo")
                    Maybe(0.2, "chat_template", () => Template);
                if ((string?)task["type"] == "causal-lm")
                    Maybe(0.2, "document_separator", () => "\n\n");
                task["sample_prompts"] = draw.Of("none", "usual", "own") switch { "none" => new JsonArray(), "own" => new JsonArray("the river"), _ => null };
                task["sample_max_new_tokens"] = draw.Between(1, 5);
                break;
        }
        return new(task, labels ?? (string)task["type"]!);
    }
}
